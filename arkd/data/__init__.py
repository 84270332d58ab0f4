"""The data of each suite: what is asked, what is answered, what is true."""
