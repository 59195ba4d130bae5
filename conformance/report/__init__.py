"""What is made of findings: a view for the terminal, and files for machines and for people."""
