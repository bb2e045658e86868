"""The HTTP API. API Gateway authenticates the caller with IAM and says who it is."""
