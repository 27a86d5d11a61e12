package goredis

import (
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"sessile/clients/harness"
)

// recorder is a proxy that keeps what the client sends.
type recorder struct {
	listener net.Listener
	mutex    sync.Mutex
	sent     strings.Builder
}

func record(t *testing.T, server *harness.Server) *recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	recorder := &recorder{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go recorder.pass(client, server.Addr())
		}
	}()
	return recorder
}

func (r *recorder) pass(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(client, server) }()
	_, _ = io.Copy(io.MultiWriter(r, server), client)
}

func (r *recorder) Write(bytes []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.sent.Write(bytes)
}

// commands gives what was sent since the last call, a command an element.
func (r *recorder) commands() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var commands []string
	for _, line := range strings.Split(r.sent.String(), "\r\n") {
		switch {
		case strings.HasPrefix(line, "*"):
			commands = append(commands, "")
		case line != "" && !strings.HasPrefix(line, "$"):
			last := len(commands) - 1
			commands[last] = strings.TrimPrefix(commands[last]+" "+line, " ")
		}
	}
	r.sent.Reset()
	return commands
}

func TestTheHandshakeOfTheNewestVersion(t *testing.T) {
	server := harness.Start(t)
	recorder := record(t, server)
	connect := func(edit func(*redis.Options)) (*redis.Client, []string) {
		client := server.Client(edit, func(options *redis.Options) { options.Addr = recorder.listener.Addr().String() })
		harness.Expect(t, client.Ping(ctx), "PONG")
		commands := recorder.commands()
		for n := range commands {
			// The library's version of Go stands in its name.
			commands[n], _, _ = strings.Cut(commands[n], "(")
		}
		return client, commands
	}
	identity := []string{"client setinfo LIB-NAME go-redis", "client setinfo LIB-VER " + redis.Version()}

	client, commands := connect(func(*redis.Options) {})
	harness.Equal(t, "the default handshake", commands, []string{"hello 3",
		"client maint_notifications on moving-endpoint-type internal-ip", identity[0], identity[1], "ping"})
	harness.Equal(t, "the protocol", clientField(t, client, "resp"), "3")
	if hasNews72(t, client) {
		harness.Equal(t, "lib-ver", clientField(t, client, "lib-ver"), redis.Version())
		harness.Equal(t, "lib-name", strings.HasPrefix(clientField(t, client, "lib-name"), "go-redis(,go1."), true)
	}

	_ = client.Close()
	recorder.commands()
	client, commands = connect(func(options *redis.Options) {
		options.Protocol, options.DB, options.ClientName = 2, 3, "sso"
	})
	harness.Equal(t, "the handshake with a database and a name", commands,
		[]string{"hello 2 setname sso", "select 3", "client setname sso", identity[0], identity[1], "ping"})
	for field, want := range map[string]string{"resp": "2", "db": "3", "name": "sso"} {
		harness.Equal(t, field, clientField(t, client, field), want)
	}

	// Whoever insists on maintenance notifications does not get a connection, as from Redis.
	insisting := server.Client(func(options *redis.Options) {
		options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeEnabled}
	})
	if err := insisting.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "maint_notifications") {
		t.Fatalf("maintenance notifications: %v", err)
	}
}

func TestPasswords(t *testing.T) {
	server := harness.Start(t, "--requirepass", "pässword with spaces")
	right := []func(*redis.Options){
		harness.Password("", "pässword with spaces"), harness.Password("default", "pässword with spaces"),
	}
	for _, version := range []int{2, 3} {
		for _, password := range right {
			harness.Expect(t, server.Client(password, protocol(version), harness.DB(1)).Set(ctx, "k", "v", 0), "OK")
		}
		const wrong = "WRONGPASS invalid username-password pair or user is disabled."
		for _, password := range []func(*redis.Options){
			harness.Password("", "other"), harness.Password("default", "other"), harness.Password("nobody", "other"),
		} {
			harness.Refused(t, server.Client(password, protocol(version)).Get(ctx, "k"), wrong)
		}
		harness.Refused(t, server.Client(protocol(version)).Get(ctx, "k"), "NOAUTH Authentication required.")
	}

	options, err := redis.ParseURL("redis://default:p%C3%A4ssword%20with%20spaces@" + server.Addr() + "/1?protocol=2")
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	harness.Expect(t, client.Get(ctx, "k"), "v")
	// A password of no use is an error too, and both ways of the library to say it must not lose the connection.
	_, err = client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Do(ctx, "AUTH", "other")
		pipe.Get(ctx, "k")
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
		t.Fatalf("AUTH: %v", err)
	}
	harness.Expect(t, client.Get(ctx, "k"), "v")
}

func TestDatabases(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		conn := client.Conn()
		defer conn.Close()
		for number := range 16 {
			harness.Expect(t, conn.Select(ctx, number), "OK")
			harness.Expect(t, conn.Set(ctx, "k", number, 0), "OK")
		}
		harness.Refused(t, conn.Select(ctx, 16), "ERR DB index is out of range")
		harness.Expect(t, conn.Get(ctx, "k"), "15")
		harness.Expect(t, conn.SwapDB(ctx, 15, 3), "OK")
		harness.Expect(t, conn.Get(ctx, "k"), "3")
		harness.Expect(t, conn.Move(ctx, "k", 3), false)
		harness.Expect(t, conn.Del(ctx, "k"), 1)
		harness.Expect(t, conn.Select(ctx, 3), "OK")
		harness.Expect(t, conn.Move(ctx, "k", 15), true)
		harness.Expect(t, conn.Copy(ctx, "k", "k", 4, true), 0)
		harness.Expect(t, client.Copy(ctx, "k", "copy", 3, false), 1)
		harness.Expect(t, conn.Get(ctx, "copy"), "0")
	})
}

// More connections than the pool holds wait for one another, and all are the server's clients while they live.
func TestAPoolAtItsLimit(t *testing.T) {
	server := harness.Start(t)
	client := server.Client(harness.Pool(3), func(options *redis.Options) { options.ClientName = "pooled" })
	var group sync.WaitGroup
	for n := range 30 {
		group.Go(func() {
			if err := client.Set(ctx, strconv.Itoa(n), n, 0).Err(); err != nil {
				t.Errorf("%v", err)
			}
		})
	}
	group.Wait()
	harness.Expect(t, client.DBSize(ctx), 30)
	count := strings.Count(harness.Must(t, server.Client().ClientList(ctx)), " name=pooled ")
	if count == 0 || count > 3 {
		t.Fatalf("%d connections", count)
	}
	_ = client.Close()
	harness.Eventually(t, "the connections end", func() bool {
		return !strings.Contains(harness.Must(t, server.Client().ClientList(ctx)), " name=pooled ")
	})
}
