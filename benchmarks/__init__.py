"""Speed and memory, beside those of other libraries; nothing here is a test."""
