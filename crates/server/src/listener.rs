//! Listening sockets.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::time::Duration;

use sessile_config::table as names;
use sessile_engine::{Engine, Peer};
use socket2::{Domain, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::connection::{self, Socket};
use crate::shard::Shard;

/// How long to wait when the system has no descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that listens.
pub(crate) enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket and its path.
    Unix(UnixListener, String),
}

/// Opens every socket that the configuration asks for.
pub(crate) fn bind(engine: &mut Engine) -> Result<Vec<Listener>, String> {
    let config = engine.config();
    let port = config.port(names::PORT);
    let backlog = config.int(names::TCP_BACKLOG) as i32;
    let mut listeners = Vec::new();
    if port != 0 {
        for address in config.bind() {
            let text = String::from_utf8_lossy(address).into_owned();
            // A leading `-` says that the address may be missing here.
            let (optional, host) = match text.strip_prefix('-') {
                Some(host) => (true, host),
                None => (false, &*text),
            };
            match bind_tcp(host, port, backlog) {
                Ok(listener) => listeners.push(Listener::Tcp(listener)),
                Err(error) if optional && error.kind() != std::io::ErrorKind::AddrInUse => {
                    tracing::debug!("not listening on {host}: {error}");
                }
                Err(error) => {
                    return Err(format!(
                        "cannot listen on {host}:{port}: {error}; another server may run there, choose another `port`"
                    ));
                }
            }
        }
        if listeners.is_empty() {
            return Err(format!("no address in `bind` could be listened on, port {port}"));
        }
    }
    let path = config.text(names::UNIXSOCKET).into_owned();
    if !path.is_empty() {
        let mode = config.int(names::UNIXSOCKETPERM) as u32;
        listeners.push(bind_unix(&path, mode).map_err(|error| format!("cannot listen on {path}: {error}"))?);
    }
    if listeners.is_empty() {
        return Err("neither `port` nor `unixsocket` is set: nobody could connect".into());
    }
    engine.server_facts().port = port;
    tracing::info!("ready to accept connections on port {port}");
    Ok(listeners)
}

fn bind_tcp(host: &str, port: u16, backlog: i32) -> std::io::Result<TcpListener> {
    let ip: IpAddr = match host {
        "*" => IpAddr::from([0, 0, 0, 0]),
        "::*" => IpAddr::from([0u16; 8]),
        _ => match host.parse() {
            Ok(ip) => ip,
            Err(_) => resolve(host)?,
        },
    };
    let socket = RawSocket::new(Domain::for_address(SocketAddr::new(ip, port)), Type::STREAM, None)?;
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(ip, port).into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

fn resolve(host: &str) -> std::io::Result<IpAddr> {
    use std::net::ToSocketAddrs;
    let unknown = || std::io::Error::new(std::io::ErrorKind::AddrNotAvailable, "the name has no address");
    (host, 0).to_socket_addrs()?.next().map(|a| a.ip()).ok_or_else(unknown)
}

fn bind_unix(path: &str, mode: u32) -> std::io::Result<Listener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(Listener::Unix(listener, path.to_owned()))
}

impl Listener {
    /// Takes connections in for ever.
    pub(crate) async fn accept(self, shard: Rc<Shard>) {
        loop {
            let accepted = match &self {
                Listener::Tcp(listener) => listener.accept().await.map(|(stream, addr)| {
                    let peer = tcp_peer(&shard, &stream, addr);
                    (Socket::Tcp(stream), peer)
                }),
                Listener::Unix(listener, path) => listener.accept().await.map(|(stream, _)| {
                    let addr = format!("{path}:0");
                    let fd = stream.as_raw_fd();
                    let peer = Peer { addr: addr.clone(), local_addr: addr, fd, unix: true, loopback: true };
                    (Socket::Unix(stream), peer)
                }),
            };
            match accepted {
                Ok((socket, peer)) => {
                    tokio::task::spawn_local(connection::serve(Rc::clone(&shard), socket, peer));
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn tcp_peer(shard: &Shard, stream: &TcpStream, addr: SocketAddr) -> Peer {
    let _ = stream.set_nodelay(true);
    let keepalive_s = shard.engine.borrow().config().int(names::TCP_KEEPALIVE) as u64;
    if keepalive_s > 0 {
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive_s))
            .with_interval(Duration::from_secs((keepalive_s / 3).max(1)))
            .with_retries(3);
        let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    }
    Peer {
        addr: addr.to_string(),
        local_addr: stream.local_addr().map(|a| a.to_string()).unwrap_or_default(),
        fd: stream.as_raw_fd(),
        unix: false,
        loopback: addr.ip().to_canonical().is_loopback(),
    }
}
