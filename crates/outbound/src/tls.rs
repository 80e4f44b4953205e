//! The process-wide choice of cryptography.

/// Makes *ring* the cryptography of every TLS connection of this process. Does nothing when a choice has been
/// made already, so it may be called any number of times and by anyone.
pub fn install_tls() {
    // Why ignored: the only error is that another provider was installed first, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
