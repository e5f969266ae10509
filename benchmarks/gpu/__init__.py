"""What gpu_report.py runs on a card: checks, then the table."""
