package outpost

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

var ctx = context.Background()

// replica is an outpost behind an HTTP server of its own. authentik leaves the library's options at their defaults.
func replica(t *testing.T, server *harness.Server, tokenLifetime time.Duration, edits ...func(*redis.Options)) *httptest.Server {
	t.Helper()
	opened, err := newStore(ctx, server.Client(edits...), tokenLifetime)
	if err != nil {
		t.Fatal(err)
	}
	served := httptest.NewServer(outpost{store: opened})
	t.Cleanup(served.Close)
	return served
}

// browser is a user agent with its cookie.
type browser struct {
	http.Client
	cookie string
}

// visit gives the status and the text of a page.
func (b *browser) visit(server *httptest.Server, path string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
	if err != nil {
		return 0, "", err
	}
	if b.cookie != "" {
		request.AddCookie(&http.Cookie{Name: sessionName, Value: b.cookie})
	}
	response, err := b.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	for _, cookie := range response.Cookies() {
		b.cookie = cookie.Value
	}
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// expect visits a page and fails the test unless status and text are these.
func (b *browser) expect(t *testing.T, server *httptest.Server, path string, status int, text string) {
	t.Helper()
	gotStatus, gotText, err := b.visit(server, path)
	if err != nil {
		t.Fatal(err)
	}
	if gotStatus != status || strings.TrimSpace(gotText) != text {
		t.Fatalf("%s: %d %q instead of %d %q", path, gotStatus, gotText, status, text)
	}
}

func (b *browser) key() string { return keyPrefix + b.cookie }

func logIn(t *testing.T, server *httptest.Server, subject string) *browser {
	t.Helper()
	agent := &browser{}
	agent.expect(t, server, "/", http.StatusUnauthorized, "")
	agent.expect(t, server, "/callback?sub="+subject, http.StatusOK, "")
	agent.expect(t, server, "/", http.StatusOK, subject)
	return agent
}

func TestItStartsOnlyIfTheServerAnswers(t *testing.T) {
	server := harness.Start(t)
	server.Kill()
	if _, err := newStore(ctx, server.Client(), time.Hour); err == nil {
		t.Fatal("an outpost started without its server")
	}
	server.Restart()
	logIn(t, replica(t, server, time.Hour), "alice")
}

func TestSessionsAreSharedAndSurviveAKill(t *testing.T) {
	server := harness.Start(t)
	first, second := replica(t, server, time.Hour), replica(t, server, time.Hour)
	client := server.Client()
	agents := map[string]*browser{}
	ends := map[string]time.Duration{}
	for n := range 100 {
		subject := fmt.Sprintf("user%d", n)
		agents[subject] = logIn(t, first, subject)
		agents[subject].expect(t, second, "/", http.StatusOK, subject)
		ends[subject] = harness.Must(t, client.PExpireTime(ctx, agents[subject].key()))
	}
	if ttl := harness.Must(t, client.TTL(ctx, agents["user0"].key())); ttl <= time.Hour-time.Minute || ttl > time.Hour+time.Second {
		t.Fatalf("a session lives for %v", ttl)
	}
	server.Crash()
	for subject, agent := range agents {
		agent.expect(t, second, "/", http.StatusOK, subject)
		harness.Expect(t, client.PExpireTime(ctx, agent.key()), ends[subject])
	}
}

func TestLogoutEndsOneSubjectsSessionsForGood(t *testing.T) {
	server := harness.Start(t)
	first, second := replica(t, server, time.Hour), replica(t, server, time.Hour)
	// Keys of others must neither be found nor be deleted, whatever bytes they hold.
	client := server.Client()
	for _, other := range []string{"authentik_proxy_sessio", "goauthentik.io/x", "Authentik_proxy_session_a"} {
		harness.Expect(t, client.Set(ctx, other, "\x00\xff not a session", 0), "OK")
	}
	var alices, bobs []*browser
	for n := range 100 {
		from := []*httptest.Server{first, second}[n%2]
		alices = append(alices, logIn(t, from, "alice"))
		bobs = append(bobs, logIn(t, from, "bob"))
	}
	signedOut := *alices[0]
	signedOut.expect(t, first, "/sign_out", http.StatusOK, "")
	new(browser).expect(t, second, "/backchannel?sub=alice", http.StatusOK, "99")
	for range 2 {
		for n := range alices {
			alices[n].expect(t, first, "/", http.StatusUnauthorized, "")
			bobs[n].expect(t, second, "/", http.StatusOK, "bob")
		}
		harness.Expect(t, client.DBSize(ctx), 100+3)
		server.Crash()
	}
	new(browser).expect(t, first, "/backchannel?sub=alice", http.StatusOK, "0")
}

func TestASessionEndsWithItsToken(t *testing.T) {
	server := harness.Start(t)
	served := replica(t, server, 0)
	agent := logIn(t, served, "alice")
	harness.Eventually(t, "the session ends", func() bool {
		status, _, err := agent.visit(served, "/")
		return err == nil && status == http.StatusUnauthorized
	})
	server.Crash()
	agent.expect(t, served, "/", http.StatusUnauthorized, "")
}

// Users log in, some of them out again, while the server is killed: each answer of an outpost holds.
func TestAnswersHoldThroughKills(t *testing.T) {
	const workers, rounds = 8, 6
	server := harness.Start(t)
	random := harness.Random(t)
	told := newRegister()
	for round := range rounds {
		served := replica(t, server, time.Hour, harness.Once, harness.Pool(workers))
		counts := make([]int, workers)
		server.KillUnder(harness.Load{Workers: workers, KillAt: random.Int64N(400), Step: func(_ *redis.Client, worker int) bool {
			counts[worker]++
			subject := fmt.Sprintf("user-%d-%d-%d", round, worker, counts[worker])
			agent := &browser{}
			if status, _, err := agent.visit(served, "/callback?sub="+subject); err != nil || status != http.StatusOK {
				return false
			}
			if counts[worker]%10 != 0 {
				told.note(told.loggedIn, subject, agent)
				return true
			}
			status, text, err := agent.visit(served, "/backchannel?sub="+subject)
			if err != nil || status != http.StatusOK {
				return false
			}
			if text != "1" {
				t.Errorf("%s sessions of %s were ended", text, subject)
			}
			told.note(told.loggedOut, subject, agent)
			return true
		}})
	}
	t.Logf("%d logins and %d logouts had an answer", len(told.loggedIn), len(told.loggedOut))
	if len(told.loggedIn) == 0 || len(told.loggedOut) == 0 {
		t.Fatal("no load before the kills")
	}
	served := replica(t, server, time.Hour)
	for subject, agent := range told.loggedIn {
		agent.expect(t, served, "/", http.StatusOK, subject)
	}
	for _, agent := range told.loggedOut {
		agent.expect(t, served, "/", http.StatusUnauthorized, "")
	}
}

// register is what users were told, by subject.
type register struct {
	mutex               sync.Mutex
	loggedIn, loggedOut map[string]*browser
}

func newRegister() *register {
	return &register{loggedIn: map[string]*browser{}, loggedOut: map[string]*browser{}}
}

func (r *register) note(column map[string]*browser, subject string, agent *browser) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	column[subject] = agent
}
