// Package harness starts, kills and restarts the server under test, and holds what the Go programs share.
//
// The server is a child process on a free loopback port with a data folder of its own. It needs nothing but a command
// line like redis-server's, so the same programs run against the control. The environment chooses:
//   - SERVER_BIN: path of the binary under test; unset: target/release/sessile of this repository
//   - CONTROL=1: the control instead, /usr/bin/redis-server with every write fsynced before its reply
package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	controlBin  = "/usr/bin/redis-server"
	startLimit  = 30 * time.Second
	pingLimit   = time.Second
	logTailSize = 15
)

// Server is one server with a data folder, running or killed.
type Server struct {
	t       testing.TB
	bin     string
	args    []string
	log     string
	port    int
	running *process
}

// Start starts the server that the environment names, with options behind its own, and waits until it answers. The
// test's clean-up ends it.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	root := t.TempDir()
	data := filepath.Join(root, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	bin, lead, tail := commandLine(t)
	port := freePort(t)
	own := []string{"--port", strconv.Itoa(port), "--dir", data, "--bind", "127.0.0.1"}
	s := &Server{
		t:    t,
		bin:  bin,
		args: slices.Concat(lead, own, tail, options),
		log:  filepath.Join(root, "server.log"),
		port: port,
	}
	t.Cleanup(func() {
		if s.running != nil {
			s.running.kill()
		}
	})
	s.Restart()
	return s
}

// Addr is where the server listens, also while it is down.
func (s *Server) Addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Kill ends the server as a crash would. A server that had ended by itself fails the test.
func (s *Server) Kill() {
	s.t.Helper()
	if s.running == nil || s.running.hasEnded() {
		s.t.Fatalf("the server had ended before it was killed%s", s.logTail())
	}
	s.running.kill()
	s.running = nil
}

// Restart starts a server that is down on its folder and port, and returns once it answers.
func (s *Server) Restart() {
	s.t.Helper()
	if s.running != nil {
		s.t.Fatal("the server is already running")
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	if s.running, err = launch(s.bin, s.args, log); err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(startLimit)
	for !s.answers() {
		if s.running.hasEnded() {
			s.t.Fatalf("%s %s: ended before it answered%s", s.bin, strings.Join(s.args, " "), s.logTail())
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s %s: no answer within %v%s", s.bin, strings.Join(s.args, " "), startLimit, s.logTail())
		}
		time.Sleep(pollInterval)
	}
}

// Crash kills the server and starts it again at once.
func (s *Server) Crash() {
	s.t.Helper()
	s.Kill()
	s.Restart()
}

// Client is a go-redis client with the library's defaults unless edits say otherwise; the test's clean-up closes it.
func (s *Server) Client(edits ...func(*redis.Options)) *redis.Client {
	options := &redis.Options{Addr: s.Addr()}
	for _, edit := range edits {
		edit(options)
	}
	client := redis.NewClient(options)
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Once makes a client send every command at most once, so that what became of a command is known or unknown, and never
// the outcome of a second attempt.
func Once(options *redis.Options) {
	options.MaxRetries = -1
	options.DialerRetries = 1
}

// Password makes a client authenticate when it connects.
func Password(user, password string) func(*redis.Options) {
	return func(options *redis.Options) { options.Username, options.Password = user, password }
}

// Pool gives a client as many connections as it may want at once.
func Pool(size int) func(*redis.Options) {
	return func(options *redis.Options) { options.PoolSize = size }
}

// DB makes a client select a database when it connects.
func DB(number int) func(*redis.Options) {
	return func(options *redis.Options) { options.DB = number }
}

// answers tells whether the server serves; a refusal such as LOADING counts as no, the wish for a password as yes.
func (s *Server) answers() bool {
	connection, err := net.DialTimeout("tcp", s.Addr(), pingLimit)
	if err != nil {
		return false
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(pingLimit))
	if _, err := connection.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return false
	}
	reply := make([]byte, 128)
	length, err := connection.Read(reply)
	text := string(reply[:length])
	return err == nil && (strings.HasPrefix(text, "+PONG") || strings.HasPrefix(text, "-NOAUTH"))
}

func (s *Server) logTail() string {
	text, err := os.ReadFile(s.log)
	if err != nil || len(text) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-logTailSize):]
	return "\n  its last lines:\n    " + strings.Join(lines, "\n    ")
}

// commandLine gives the binary and the arguments around the harness' own. A binary that goes by the name of sessile
// needs its subcommand.
func commandLine(t testing.TB) (bin string, lead, tail []string) {
	t.Helper()
	if os.Getenv("CONTROL") == "1" {
		return controlBin, nil, []string{"--appendonly", "yes", "--appendfsync", "always"}
	}
	bin = os.Getenv("SERVER_BIN")
	if bin == "" {
		_, here, _, _ := runtime.Caller(0)
		bin = filepath.Join(filepath.Dir(here), "../../../target/release/sessile")
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatal(fmt.Errorf("no server to test, build one or set SERVER_BIN or CONTROL=1: %w", err))
	}
	if strings.HasPrefix(filepath.Base(bin), "sessile") {
		lead = []string{"server"}
	}
	return bin, lead, nil
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
