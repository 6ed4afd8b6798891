//! Streams: one task for each connection, with two pumps.

mod pump;

use std::{io, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    lane::Direction,
    limits, proxy,
    shared::{Setting, Shared},
};
use pump::Pump;

/// Accepts until the proxy is dropped.
pub(crate) async fn run(listen: TcpListener, shared: Arc<Shared>, mut setting: watch::Receiver<Setting>) {
    let asked = setting.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = proxy::ended(&mut setting) => break,
            Some(_) = connections.join_next() => {
                shared.count(|stats| stats.clients_open -= 1);
                continue;
            }
            accepted = listen.accept() => accepted,
        };
        match accepted {
            Ok((client, _)) if connections.len() < limits::CONNECTIONS_MAX => {
                let number = shared.stats().clients;
                shared.count(|stats| {
                    stats.clients += 1;
                    stats.clients_open += 1;
                });
                connections.spawn(connection(client, number, shared.clone(), asked.clone()));
            }
            Ok((client, _)) => {
                shared.count(|stats| stats.resets += 1);
                reset(&client);
            }
            Err(_) => {
                shared.count(|stats| stats.socket_errors += 1);
                // Out of files: accepting again at once would fail again, and take a whole processor.
                shared.wait_until(Some(shared.now() + limits::PERIOD_MIN)).await;
            }
        }
    }
    while connections.join_next().await.is_some() {
        shared.count(|stats| stats.clients_open -= 1);
    }
}

async fn connection(mut client: TcpStream, number: u64, shared: Arc<Shared>, setting: watch::Receiver<Setting>) {
    let mut own = setting.clone();
    let connected = tokio::select! {
        biased;
        () = proxy::ended(&mut own) => return reset(&client),
        connected = TcpStream::connect(shared.upstream) => connected,
    };
    let Ok(mut server) = connected else {
        shared.count(|stats| stats.resets += 1);
        return reset(&client);
    };
    let asked = own.borrow_and_update().clone();
    // Segments are made here; the kernel shall not hold them back for more.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ended: io::Result<()> = {
        let up = Pump::new(shared.clone(), number, Direction::Up, &asked, setting.clone());
        let down = Pump::new(shared.clone(), number, Direction::Down, &asked, setting);
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::select! {
            biased;
            _ = rebound(&shared, asked, own) => {
                shared.count(|stats| stats.resets += 1);
                Err(io::ErrorKind::ConnectionReset.into())
            }
            ended = async { tokio::try_join!(up.run(from_client, to_server), down.run(from_server, to_client)) } => {
                ended.map(|_| ())
            }
        }
    };
    // A reset on one side is one on the other.
    if ended.is_err() {
        reset(&client);
        reset(&server);
    }
}

/// Until the connection has to be reset; ends only then, or when the proxy is dropped.
async fn rebound(shared: &Shared, mut asked: Setting, mut setting: watch::Receiver<Setting>) {
    let rebinds = asked.rebinds;
    let mut since = shared.now();
    while asked.rebinds == rebinds {
        let at = asked.profile.rebind.map(|rebind| since + rebind.every);
        tokio::select! {
            biased;
            changed = setting.changed() => {
                let profiles = asked.profiles;
                asked = setting.borrow_and_update().clone();
                if changed.is_err() { return }
                if asked.profiles != profiles { since = shared.now() }
            }
            () = shared.wait_until(at) => return,
        }
    }
}

/// What is closed next is closed with a reset.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
