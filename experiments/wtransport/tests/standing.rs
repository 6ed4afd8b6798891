//! What Loquic's promises need of a WebTransport library, asked of both. Each test says which of them gives it, and fails
//! when that changes: then it is time to decide anew (docs/DECISIONS.md).

use loquic_wtransport::{CLOSE, CLOSE_CODE, HEADER, Identity, Library, PATIENCE, Session, client, serve};
use tokio::time::timeout;

const BOTH: [Library; 2] = [Library::WebTransportQuinn, Library::Wtransport];

/// Which of the libraries pass.
async fn passing<F: Future<Output = bool>>(test: impl Fn(Session) -> F) -> Vec<Library> {
    let mut passing = Vec::new();
    for library in BOTH {
        let identity = Identity::new();
        let (endpoint, _tasks) = serve(library, &identity);
        let port = endpoint.local_addr().expect("an address").port();
        let from = client();
        let session = Session::connect(&from, &identity, port).await;
        assert!(session.answers().await, "{library:?} works at all");
        if test(session).await {
            passing.push(library);
        }
    }
    passing
}

/// Promise 6: no room blocks another. A lost packet is enough for a stream's header to be incomplete.
#[tokio::test]
async fn half_a_header_keeps_no_other_stream_waiting() {
    let passing = passing(|session| async move {
        let _half = session.open(&HEADER[..1]).await;
        session.answers().await
    });
    assert_eq!(passing.await, [Library::WebTransportQuinn]);
}

/// RFC 9114 section 6.2: streams of unknown types are not an error.
#[tokio::test]
async fn a_unidirectional_stream_of_an_unknown_type_is_ignored() {
    let passing = passing(|session| async move {
        let mut unknown = session.connection.open_uni().await.expect("a stream");
        unknown.write_all(&[0x3f, 1, 2, 3]).await.expect("write");
        // Only what the server does with it can end the connection.
        let survives = timeout(PATIENCE, session.connection.closed()).await.is_err();
        survives && session.answers().await
    });
    assert_eq!(passing.await, [Library::WebTransportQuinn]);
}

/// A client is told by a code whether to come back. Pages read it from WT_CLOSE_SESSION, on the stream of the request.
#[tokio::test]
async fn the_close_code_reaches_the_client() {
    let passing = passing(|mut session| async move {
        let _close = session.open(&[&HEADER[..], &[CLOSE]].concat()).await;
        let told = timeout(PATIENCE, session.request.1.read_to_end(100)).await;
        told.is_ok_and(|told| told.is_ok_and(|told| told.windows(4).any(|bytes| bytes == CLOSE_CODE.to_be_bytes())))
    });
    assert_eq!(passing.await, [Library::WebTransportQuinn]);
}
