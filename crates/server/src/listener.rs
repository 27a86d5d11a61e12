//! Listening sockets.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry};
use sessile_config::{Config, table as names};
use sessile_engine::{Engine, Peer};
use socket2::{Domain, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use crate::clock;
use crate::connection::Socket;
use crate::reactor::LISTENER;
use crate::shard::Shard;

/// How long to wait when the system has no descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections taken in before others have their turn.
const ACCEPTS_A_TURN: usize = 64;

/// A socket that listens.
enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket and its file.
    Unix(UnixListener, SocketFile),
}

/// The file of a unix socket, which goes when the node stops.
struct SocketFile {
    /// As the configuration has it.
    name: String,
    /// Whole, since `dir` may change.
    path: PathBuf,
    /// Which file it is: another server may have put its own there.
    identity: (u64, u64),
}

impl SocketFile {
    fn at(name: &str) -> io::Result<Self> {
        let path = std::path::absolute(name)?;
        let identity = Self::identity(&path)?;
        Ok(Self { name: name.to_owned(), path, identity })
    }

    fn identity(path: &Path) -> io::Result<(u64, u64)> {
        std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

#[derive(Default)]
struct Listeners {
    sockets: Vec<Listener>,
    /// Where new ones are registered.
    registry: Option<Registry>,
}

impl Listeners {
    fn add(&mut self, mut listener: Listener) -> io::Result<()> {
        if let Some(registry) = &self.registry {
            match &mut listener {
                Listener::Tcp(listener) => registry.register(listener, LISTENER, Interest::READABLE)?,
                Listener::Unix(listener, _) => registry.register(listener, LISTENER, Interest::READABLE)?,
            }
        }
        self.sockets.push(listener);
        Ok(())
    }

    fn add_all(&mut self, listeners: Vec<Listener>) -> Result<(), String> {
        let added = listeners.into_iter().try_for_each(|listener| self.add(listener));
        added.map_err(|error| format!("cannot watch a listening socket: {error}"))
    }
}

thread_local! {
    /// The data thread's listening sockets. CONFIG SET, which runs on it, closes and opens them.
    static LISTENERS: RefCell<Listeners> = RefCell::default();
}

/// Opens every socket that the configuration asks for.
pub(crate) fn bind(engine: &mut Engine, registry: &Registry) -> Result<(), String> {
    let config = engine.config();
    let mut listeners = open_tcp(config)?;
    let path = config.text(names::UNIXSOCKET).into_owned();
    if !path.is_empty() {
        let mode = config.int(names::UNIXSOCKETPERM) as u32;
        listeners.push(bind_unix(&path, mode).map_err(|error| format!("cannot listen on {path}: {error}"))?);
    }
    if listeners.is_empty() {
        return Err("neither `port` nor `unixsocket` is set: nobody could connect".into());
    }
    let registry =
        registry.try_clone().map_err(|error| format!("cannot watch listening sockets: {error}"))?;
    LISTENERS.set(Listeners { sockets: Vec::new(), registry: Some(registry) });
    LISTENERS.with_borrow_mut(|all| all.add_all(listeners))?;
    tracing::info!("ready to accept connections on port {}", config.port(names::PORT));
    Ok(())
}

/// Closes every socket; the files of unix sockets go.
pub(crate) fn close() {
    LISTENERS.take();
}

/// Closes the TCP sockets and opens those that the configuration asks for now. Connections stay.
pub(crate) fn listen_anew(config: &Config) -> Result<(), String> {
    LISTENERS.with_borrow_mut(|listeners| {
        // Closed first: an address may be among the new ones, or be covered by one of them.
        listeners.sockets.retain(|listener| matches!(listener, Listener::Unix(..)));
        listeners.add_all(open_tcp(config)?)
    })?;
    tracing::info!("ready to accept connections on port {}", config.port(names::PORT));
    Ok(())
}

fn open_tcp(config: &Config) -> Result<Vec<Listener>, String> {
    let port = config.port(names::PORT);
    let backlog = config.int(names::TCP_BACKLOG) as i32;
    let mut listeners = Vec::new();
    if port == 0 {
        return Ok(listeners);
    }
    for address in config.bind() {
        let text = String::from_utf8_lossy(address).into_owned();
        // A leading `-` says that the address may be missing here.
        let (optional, host) = match text.strip_prefix('-') {
            Some(host) => (true, host),
            None => (false, &*text),
        };
        match bind_tcp(host, port, backlog) {
            Ok(listener) => listeners.push(Listener::Tcp(listener)),
            Err(error) if optional && error.kind() != io::ErrorKind::AddrInUse => {
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
    Ok(listeners)
}

fn bind_tcp(host: &str, port: u16, backlog: i32) -> io::Result<TcpListener> {
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
    Ok(TcpListener::from_std(socket.into()))
}

fn resolve(host: &str) -> io::Result<IpAddr> {
    use std::net::ToSocketAddrs;
    let unknown = || io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    (host, 0).to_socket_addrs()?.next().map(|a| a.ip()).ok_or_else(unknown)
}

fn bind_unix(path: &str, mode: u32) -> io::Result<Listener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(Listener::Unix(listener, SocketFile::at(path)?))
}

/// Takes in connections that wait, as many as a turn may. Gives when to go on, by the stopwatch; `None` when nobody waits.
pub(crate) fn accept(shard: &mut Shard) -> Option<u64> {
    for _ in 0..ACCEPTS_A_TURN {
        match accept_one() {
            Ok(Accepted::Tcp(stream, addr)) => {
                let peer = tcp_peer(shard, &stream, addr);
                shard.begin_conn(Socket::Tcp(stream), peer);
            }
            Ok(Accepted::Unix(stream, path)) => {
                let addr = format!("{path}:0");
                let fd = stream.as_raw_fd();
                let peer = Peer { addr: addr.clone(), local_addr: addr, fd, unix: true, loopback: true };
                shard.begin_conn(Socket::Unix(stream), peer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                return Some(clock::stopwatch_us() + ACCEPT_PAUSE.as_micros() as u64);
            }
        }
    }
    Some(0)
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream, String),
}

/// A connection of any of the sockets.
fn accept_one() -> io::Result<Accepted> {
    LISTENERS.with_borrow(|listeners| {
        for listener in &listeners.sockets {
            let accepted = match listener {
                Listener::Tcp(listener) => {
                    listener.accept().map(|(stream, addr)| Accepted::Tcp(stream, addr))
                }
                Listener::Unix(listener, file) => {
                    listener.accept().map(|(stream, _)| Accepted::Unix(stream, file.name.clone()))
                }
            };
            match accepted {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return accepted,
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    })
}

fn tcp_peer(shard: &Shard, stream: &TcpStream, addr: SocketAddr) -> Peer {
    let _ = stream.set_nodelay(true);
    let keepalive_s = shard.engine.config().int(names::TCP_KEEPALIVE) as u64;
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
