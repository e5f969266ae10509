"""What turns tables and folders of recordings into manifests."""
