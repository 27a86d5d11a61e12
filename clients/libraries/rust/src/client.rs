//! redis-rs' connections behind one face, so that every expectation stands once: the one that blocks, tokio's multiplexed
//! one, and tokio's manager, which connects again by itself.

use std::{
    env,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline,
    ProtocolVersion, RedisConnectionInfo, RedisResult, Script, aio,
};
use tokio::task::block_in_place;

use crate::server::Server;

const WAIT_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// No call of a case takes this long; a connection that blocks cannot be cancelled otherwise.
const REPLY_LIMIT: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sync,
    Tokio,
}

/// What a case gets: the server, and the variant to connect with.
pub struct Context {
    pub kind: Kind,
    pub protocol: ProtocolVersion,
    server: Mutex<Server>,
    port: u16,
}

impl Context {
    pub fn new(server: Server, kind: Kind, protocol: ProtocolVersion) -> Context {
        Context { kind, protocol, port: server.port(), server: Mutex::new(server) }
    }

    pub fn into_server(self) -> Server {
        self.server.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// redis-rs' client with the settings that a case wants beside the protocol.
    pub fn client(
        &self,
        with: impl FnOnce(RedisConnectionInfo) -> RedisConnectionInfo,
    ) -> RedisResult<Client> {
        let settings = with(RedisConnectionInfo::default().set_protocol(self.protocol));
        let address = ConnectionAddr::Tcp("127.0.0.1".to_owned(), self.port);
        Client::open(address.into_connection_info()?.set_redis_settings(settings))
    }

    pub async fn connect(&self) -> RedisResult<Connection> {
        self.connect_with(|settings| settings).await
    }

    pub async fn connect_with(
        &self,
        with: impl FnOnce(RedisConnectionInfo) -> RedisConnectionInfo,
    ) -> RedisResult<Connection> {
        let client = self.client(with)?;
        if self.kind == Kind::Tokio {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(REPLY_LIMIT));
            return Ok(Connection::Tokio(
                client.get_multiplexed_async_connection_with_config(&config).await?,
            ));
        }
        block_in_place(|| {
            let connection = client.get_connection()?;
            connection.set_read_timeout(Some(REPLY_LIMIT))?;
            Ok(Connection::Sync(connection))
        })
    }
}

pub enum Connection {
    Sync(redis::Connection),
    Tokio(aio::MultiplexedConnection),
    Manager(aio::ConnectionManager),
}

impl Connection {
    pub async fn run<T: FromRedisValue + Send>(&mut self, cmd: Cmd) -> RedisResult<T> {
        match self {
            Connection::Sync(connection) => block_in_place(|| cmd.query(connection)),
            Connection::Tokio(connection) => cmd.query_async(connection).await,
            Connection::Manager(connection) => cmd.query_async(connection).await,
        }
    }

    pub async fn run_all<T: FromRedisValue + Send>(&mut self, pipeline: &Pipeline) -> RedisResult<T> {
        match self {
            Connection::Sync(connection) => block_in_place(|| pipeline.query(connection)),
            Connection::Tokio(connection) => pipeline.query_async(connection).await,
            Connection::Manager(connection) => pipeline.query_async(connection).await,
        }
    }

    /// Runs the library's script object: EVALSHA, and the load of the script if the server does not know it.
    pub async fn invoke<T: FromRedisValue + Send>(
        &mut self,
        script: &Script,
        key: &str,
        arg: &str,
    ) -> RedisResult<T> {
        let mut call = script.prepare_invoke();
        call.key(key).arg(arg);
        match self {
            Connection::Sync(connection) => block_in_place(|| call.invoke(connection)),
            Connection::Tokio(connection) => call.invoke_async(connection).await,
            Connection::Manager(connection) => call.invoke_async(connection).await,
        }
    }

    /// Waits until one client is blocked in the server.
    pub async fn wait_for_blocked(&mut self) -> RedisResult<()> {
        let began = Instant::now();
        while !self.run::<String>(words("INFO clients")).await?.contains("blocked_clients:1\r") {
            assert!(began.elapsed() < WAIT_LIMIT, "no client is blocked");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// A command from its words, for what redis-rs has no function for.
pub fn words(text: &str) -> Cmd {
    let mut words = text.split_whitespace();
    let mut cmd = redis::cmd(words.next().expect("a command's name"));
    for word in words {
        cmd.arg(word);
    }
    cmd
}

/// Polls until the probe gives something, for what no reply tells.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(began.elapsed() < WAIT_LIMIT, "{what}: not within {WAIT_LIMIT:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Whether a case whose name is this runs: all do unless the arguments name others.
pub fn is_chosen(name: &str) -> bool {
    let mut parts = env::args().skip(1).peekable();
    parts.peek().is_none() || parts.any(|part| name.contains(&part))
}

/// Runs a command and compares its reply, read as a type.
#[macro_export]
macro_rules! expect {
    ($connection:expr, $cmd:expr, $reply:ty, $expected:expr) => {{
        let reply: $reply = $connection.run($cmd).await?;
        assert_eq!(reply, $expected);
    }};
}

/// Runs a command and compares the text of the error that it must end with.
#[macro_export]
macro_rules! refuse {
    ($connection:expr, $cmd:expr, $text:expr) => {{
        let error = $connection.run::<redis::Value>($cmd).await.expect_err("an error");
        assert!(error.to_string().contains($text), "{error}, not {}", $text);
    }};
}
