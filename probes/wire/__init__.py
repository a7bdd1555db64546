"""What the probe says to servers, byte by byte: readiness, connections, TLS, HTTP/1.1 answers, encodings."""
