"""The eight services. Each package stands alone: none imports another; they meet on gRPC."""
