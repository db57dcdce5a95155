"""The store: folder or S3, the commit protocol, record schemas, compaction, checks and queries."""
