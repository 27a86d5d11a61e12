package cloudentity

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

// openSessions gives the keys of new sessions, sorted.
func openSessions(t *testing.T, client *redis.Client, subject string, count int) []string {
	t.Helper()
	keys := make([]string, count)
	for n := range keys {
		id := newSecret()
		if err := openSession(ctx, client, subject, id, sessionLifetime); err != nil {
			t.Fatal(err)
		}
		keys[n] = sessionKey(subject, id)
	}
	slices.Sort(keys)
	return keys
}

// liveSessions gives a subject's sessions, sorted, and fails the test where index and sessions disagree.
func liveSessions(t *testing.T, client *redis.Client, subject string) []string {
	t.Helper()
	indexed, err := sessionKeys(ctx, client, subject)
	if err != nil {
		t.Fatal(err)
	}
	stored := harness.Must(t, client.Keys(ctx, "acp:{"+subject+"}:session:*"))
	slices.Sort(indexed)
	slices.Sort(stored)
	if !slices.Equal(indexed, stored) {
		t.Fatalf("%s: %d sessions are indexed, %d are there", subject, len(indexed), len(stored))
	}
	for _, key := range stored {
		end := harness.Must(t, client.PExpireTime(ctx, key)).Milliseconds()
		harness.Expect(t, client.ZScore(ctx, indexKey(subject), key), float64(end))
		harness.Expect(t, client.HGet(ctx, key, "sub"), subject)
	}
	return stored
}

func mustRevoke(t *testing.T, client *redis.Client, by revocation, subject string, want int) {
	t.Helper()
	count, err := by.revokeAll(ctx, client, subject)
	if err != nil {
		t.Fatal(err)
	}
	harness.Equal(t, "sessions revoked", count, want)
}

func TestRevokeAllEndsOneSubjectsSessionsForGood(t *testing.T) {
	for _, by := range revocations {
		t.Run(by.name, func(t *testing.T) {
			server := harness.Start(t)
			client := server.Client()
			alices := openSessions(t, client, "alice", 300)
			bobs := openSessions(t, client, "bob", 5)
			harness.Equal(t, "alice's sessions", liveSessions(t, client, "alice"), alices)
			server.Crash()
			harness.Equal(t, "alice's sessions", liveSessions(t, client, "alice"), alices)

			mustRevoke(t, client, by, "alice", 300)
			for range 2 {
				harness.Equal(t, "alice's sessions", len(liveSessions(t, client, "alice")), 0)
				harness.Equal(t, "bob's sessions", liveSessions(t, client, "bob"), bobs)
				server.Crash()
			}
			mustRevoke(t, client, by, "alice", 0)
			mustRevoke(t, client, by, "bob", 5)
		})
	}
}

func TestSessionsSlideAndEnd(t *testing.T) {
	server := harness.Start(t)
	client := server.Client()
	for _, id := range []string{"short", "kept", "closed"} {
		if err := openSession(ctx, client, "alice", id, 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	touch := func(id string, want bool) {
		t.Helper()
		isThere, err := touchSession(ctx, client, "alice", id, sessionLifetime)
		if err != nil || isThere != want {
			t.Fatalf("%s is there: %v, %v", id, isThere, err)
		}
	}
	touch("kept", true)
	if err := closeSession(ctx, client, "alice", "closed"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the short session ends", func() bool {
		return harness.Must(t, client.Exists(ctx, sessionKey("alice", "short"))) == 0
	})
	touch("short", false)
	touch("closed", false)
	for range 2 {
		harness.Equal(t, "alice's sessions", liveSessions(t, client, "alice"), []string{sessionKey("alice", "kept")})
		server.Crash()
	}
}

// Logins go on while all sessions are revoked over and over: each session is revoked once, or still there.
func TestRevokeAllAgainstLogins(t *testing.T) {
	const workers, logins = 8, 100
	for _, by := range revocations {
		t.Run(by.name, func(t *testing.T) {
			client := harness.Start(t).Client(harness.Pool(2 * workers))
			var group sync.WaitGroup
			for range workers {
				group.Go(func() {
					for range logins {
						if err := openSession(ctx, client, "alice", newSecret(), sessionLifetime); err != nil {
							t.Errorf("%v", err)
						}
					}
				})
			}
			ended := make(chan struct{})
			go func() {
				group.Wait()
				close(ended)
			}()
			count := 0
			for isEnded := false; !isEnded; {
				select {
				case <-ended:
					isEnded = true
				default:
				}
				revoked, err := by.revokeAll(ctx, client, "alice")
				if err != nil {
					t.Fatal(err)
				}
				count += revoked
			}
			harness.Equal(t, "sessions revoked", count, workers*logins)
			harness.Equal(t, "sessions left", len(liveSessions(t, client, "alice")), 0)
		})
	}
}

// shelf is what one worker knows of its subject's sessions: certain ones, and an end of all that has no answer.
type shelf struct {
	subject string
	certain []string
	// opened had no answer, and may be there.
	opened string
	// cleared: all were revoked without an answer, so that all are there or none is.
	cleared bool
}

func (s *shelf) step(client *redis.Client, by revocation) bool {
	if len(s.certain) == 20 {
		if _, err := by.revokeAll(ctx, client, s.subject); err != nil {
			s.cleared = true
			return false
		}
		s.certain = nil
		return true
	}
	id := newSecret()
	if err := openSession(ctx, client, s.subject, id, sessionLifetime); err != nil {
		s.opened = sessionKey(s.subject, id)
		return false
	}
	s.certain = append(s.certain, sessionKey(s.subject, id))
	return true
}

func (s *shelf) check(t *testing.T, client *redis.Client) {
	t.Helper()
	live := liveSessions(t, client, s.subject)
	if s.cleared && len(live) == 0 {
		return
	}
	if slices.Contains(live, s.opened) {
		s.certain = append(s.certain, s.opened)
	}
	slices.Sort(s.certain)
	if !slices.Equal(live, s.certain) {
		t.Fatalf("%s: %d sessions where %d are known", s.subject, len(live), len(s.certain))
	}
}

func TestSessionsAndTheirIndexSurviveKillsTogether(t *testing.T) {
	const workers, rounds = 16, 8
	for _, by := range revocations {
		t.Run(by.name, func(t *testing.T) {
			server := harness.Start(t)
			random := harness.Random(t)
			for round := range rounds {
				shelves := make([]*shelf, workers)
				for n := range shelves {
					shelves[n] = &shelf{subject: fmt.Sprintf("round%d-%d", round, n)}
				}
				server.KillUnder(harness.Load{Workers: workers, KillAt: 50 + random.Int64N(1500),
					Step: func(client *redis.Client, worker int) bool { return shelves[worker].step(client, by) }})
				for _, shelf := range shelves {
					shelf.check(t, server.Client())
				}
			}
		})
	}
}
