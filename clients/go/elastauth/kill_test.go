package elastauth

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sessile/clients/harness"
)

func TestCredentialsAndLifetimesSurviveAKill(t *testing.T) {
	server := harness.Start(t)
	d := deploy(t, server, config{lifetime: time.Hour})
	users := userNames(200)
	credentials := map[string]string{}
	ends := map[string]time.Duration{}
	for _, user := range users {
		credentials[user] = d.first.credential(t, user)
		ends[user] = harness.Must(t, d.store.PExpireTime(ctx, cacheKey(user)))
	}
	server.Crash()
	for _, user := range users {
		harness.Equal(t, "the credential", d.other.credential(t, user), credentials[user])
		harness.Equal(t, "upserts", d.users.upsertCount(user), 1)
		harness.Expect(t, d.store.PExpireTime(ctx, cacheKey(user)), ends[user])
	}
}

func TestWhatExpiresWhileTheServerIsDownIsGone(t *testing.T) {
	server := harness.Start(t)
	d := deploy(t, server, config{lifetime: 500 * time.Millisecond})
	credential := d.first.credential(t, "alice")
	end := harness.Must(t, d.store.PExpireTime(ctx, cacheKey("alice")))
	server.Kill()
	harness.Eventually(t, "the entry's time comes", func() bool {
		return time.Now().UnixMilli() > end.Milliseconds()
	})
	server.Restart()
	if d.other.credential(t, "alice") == credential {
		t.Fatal("an expired credential came back")
	}
}

func TestRequestsAreServedWhileTheServerIsDown(t *testing.T) {
	server := harness.Start(t)
	d := deploy(t, server, config{lifetime: time.Hour, extends: true}, harness.Once)
	server.Kill()
	d.first.credential(t, "bob")
	d.other.credential(t, "bob")
	harness.Equal(t, "upserts", d.users.upsertCount("bob"), 2)

	server.Restart()
	harness.Equal(t, "the credential", d.first.credential(t, "bob"), d.other.credential(t, "bob"))
	harness.Equal(t, "upserts", d.users.upsertCount("bob"), 3)
}

// Two instances fill the cache while the server is killed again and again: an acknowledged entry is there afterwards,
// with the value that was acknowledged.
func TestAcknowledgedEntriesSurviveKillsUnderLoad(t *testing.T) {
	const rounds, usersPerRound = 8, 400
	server := harness.Start(t)
	random := harness.Random(t)
	d := deploy(t, server, config{lifetime: time.Hour, extends: true})
	users := userNames(rounds * usersPerRound)
	var acknowledged []string
	for round := range rounds {
		batch := users[round*usersPerRound : (round+1)*usersPerRound]
		acknowledged = append(acknowledged, fillUntilKilled(t, server, d, batch, random.Int64N(usersPerRound))...)
		server.Restart()
	}
	t.Logf("%d of %d entries were acknowledged", len(acknowledged), len(users))
	if len(acknowledged) == 0 || len(acknowledged) == len(users) {
		t.Fatal("no kill hit the load")
	}
	store := server.Client()
	for _, user := range acknowledged {
		password, err := open(harness.Must(t, store.Get(ctx, cacheKey(user))), d.config.secretKey)
		if err != nil || !d.users.accepts(user, password) {
			t.Fatalf("%s: the cache has another password than was acknowledged (%v)", user, err)
		}
	}
}

// fillUntilKilled asks two fresh instances for users and kills the server once killAt of them were served; it gives
// those whose entry was acknowledged. All are served, the last ones without a store.
func fillUntilKilled(t *testing.T, server *harness.Server, d deployment, users []string, killAt int64) []string {
	const workers = 8
	var mutex sync.Mutex
	var acknowledged []string
	var served atomic.Int64
	batch := make(chan string, len(users))
	for _, user := range users {
		batch <- user
	}
	close(batch)
	var group sync.WaitGroup
	for range 2 {
		instance := serve(t, server.Client(harness.Once, harness.Pool(workers)), d.users, d.config)
		instance.noteSet = func(user string, err error) {
			mutex.Lock()
			defer mutex.Unlock()
			if err == nil {
				acknowledged = append(acknowledged, user)
			}
		}
		for range workers / 2 {
			group.Go(func() {
				for user := range batch {
					if _, err := instance.ask(user); err != nil {
						t.Errorf("%s: %v", user, err)
					}
					served.Add(1)
				}
			})
		}
	}
	harness.Eventually(t, "requests are served", func() bool { return served.Load() >= killAt })
	server.Kill()
	group.Wait()
	return acknowledged
}
