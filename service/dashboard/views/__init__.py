"""What each page shows, read from the kernel and made ready to be written: frozen values, no markup."""
