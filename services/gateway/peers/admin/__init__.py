"""The gateway's side of auth's AdminService, a module per noun: messages in, the shapes of answers out."""
