"""The logs that training tools leave behind, read without the tools."""
