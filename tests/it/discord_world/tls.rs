//! Discord's own name, on the loopback: the rate limiter that ships works for no other.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Whom the leaf stands for.
pub(crate) const NAMES: &[&str] = &["discord.com", "gateway.discord.gg", "localhost"];

/// Where it listens, and whom to trust for it.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) address: SocketAddr,
    /// The authority, as PEM: rustls takes none that is used as a leaf.
    pub(crate) authority: String,
}

impl Tls {
    /// A client that believes that this is Discord: to be given to the bot's `HttpBuilder`.
    pub(crate) fn client(&self) -> reqwest::Client {
        let authority = reqwest::Certificate::from_pem(self.authority.as_bytes());
        reqwest::Client::builder()
            .add_root_certificate(authority.expect("it was just made"))
            .resolve("discord.com", self.address)
            .build()
            .expect("a client")
    }
}

/// A server's side, and the authority that signed for it.
pub(super) fn acceptor() -> (TlsAcceptor, String) {
    let key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).expect("an authority");
    let issuer = Issuer::new(authority, key);
    let own = KeyPair::generate().expect("a key");
    let names = NAMES.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let leaf = CertificateParams::new(names).expect("names of hosts");
    let leaf = leaf.signed_by(&own, &issuer).expect("a leaf");
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks them")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], secret)
        .expect("a key that fits");
    (TlsAcceptor::from(Arc::new(config)), certificate.pem())
}
