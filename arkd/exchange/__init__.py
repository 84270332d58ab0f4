"""What is exchanged with others: a pack to train on goes out, students and whole runs come in."""
