"""Files whole or absent, their hashes and manifests, the columns of records, what is fetched."""
