//! HTTPS with a certificate authority of one's own, and without trust in it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use datasets::{Prometheus, PrometheusConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::stub::{matrix, query};

/// A server for 127.0.0.1 with a certificate of a new authority: its URL and the authority's PEM.
fn serve() -> (String, String) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .and_then(|params| params.signed_by(&key, &issuer))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("a certificate that fits its key");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            answer(StreamOwned::new(connection, stream));
        }
    });
    (url, authority.pem())
}

/// Reads a request up to its last parameter and answers it; a failed handshake ends the connection.
fn answer(mut stream: impl Read + Write) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&request).contains("step=300") {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let body = matrix(r#"[{"metric":{},"values":[[1700000100,"1.5"]]}]"#);
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok();
    stream.flush().ok();
}

#[tokio::test]
async fn a_ca_file_makes_its_servers_trusted() {
    let (url, pem) = serve();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), pem).unwrap();
    let config = PrometheusConfig {
        ca_file: Some(file.path().to_owned()),
        deadline: Duration::from_secs(20),
        ..PrometheusConfig::new(url)
    };
    let history = Prometheus::new(config).unwrap().range(&query(1)).await.unwrap();
    assert_eq!(history.series.view().values(), [Some(1.5)]);
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_not_tried_again() {
    let (url, _) = serve();
    let (_, other_authority) = serve();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), other_authority).unwrap();
    let config =
        PrometheusConfig { ca_file: Some(file.path().to_owned()), ..PrometheusConfig::new(url) };
    let error = Prometheus::new(config).unwrap().range(&query(1)).await.unwrap_err();
    assert_eq!((error.label(), error.is_retryable()), ("tls", false), "{error}");
    assert!(error.to_string().contains("CA file"), "{error}");
}
