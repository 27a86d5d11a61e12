package cloudentity

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

func alice(n int) claims {
	return claims{Subject: fmt.Sprintf("alice%d", n), Client: app, Scopes: []string{"openid", "profile"}}
}

// isActive fails the test if the token cannot be looked up, or stands for somebody else.
func isActive(t *testing.T, client *redis.Client, token string, want claims) bool {
	t.Helper()
	found, err := introspect(ctx, client, token)
	if err != nil {
		t.Fatal(err)
	}
	if found != nil {
		harness.Equal(t, "the claims", *found, want)
	}
	return found != nil
}

func TestAccessTokensKeepTheirLifetimeThroughAKill(t *testing.T) {
	server := harness.Start(t)
	client := server.Client()
	tokens := make([]string, 1000)
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for n := range tokens {
			tokens[n] = newSecret()
			if err := issueAccess(ctx, pipe, tokens[n], alice(n), time.Hour+time.Duration(n)*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]time.Duration{}
	for _, token := range tokens {
		ends[token] = harness.Must(t, client.PExpireTime(ctx, accessKey(token)))
	}
	for _, token := range tokens[:100] {
		if err := revokeAccess(ctx, client, token); err != nil {
			t.Fatal(err)
		}
	}
	server.Crash()
	for n, token := range tokens {
		harness.Equal(t, "active", isActive(t, client, token, alice(n)), n >= 100)
		if n >= 100 {
			harness.Expect(t, client.PExpireTime(ctx, accessKey(token)), ends[token])
		}
	}
}

func TestAccessTokensEndInTimeAlsoWhileTheServerIsDown(t *testing.T) {
	server := harness.Start(t)
	client := server.Client()
	short, long := newSecret(), newSecret()
	for token, lifetime := range map[string]time.Duration{short: 400 * time.Millisecond, long: time.Hour} {
		if err := issueAccess(ctx, client, token, alice(1), lifetime); err != nil {
			t.Fatal(err)
		}
	}
	end := harness.Must(t, client.PExpireTime(ctx, accessKey(short)))
	server.Kill()
	harness.Eventually(t, "the token's time comes", func() bool { return time.Now().UnixMilli() > end.Milliseconds() })
	server.Restart()
	harness.Equal(t, "the short one is active", isActive(t, client, short, alice(1)), false)
	harness.Equal(t, "the long one is active", isActive(t, client, long, alice(1)), true)

	if err := issueAccess(ctx, client, short, alice(1), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the token ends", func() bool { return !isActive(t, client, short, alice(1)) })
	server.Crash()
	harness.Equal(t, "an ended token is active", isActive(t, client, short, alice(1)), false)
}

// Tokens are issued and revoked in turn until a kill; every answer holds afterwards.
func TestIssuedAndRevokedStayWhatTheyWere(t *testing.T) {
	const workers = 16
	server := harness.Start(t)
	random := harness.Random(t)
	type known struct {
		token               string
		isActive, isCertain bool
	}
	issued, revoked := 0, 0
	for range 6 {
		memories := make([][]known, workers)
		server.KillUnder(harness.Load{Workers: workers, KillAt: random.Int64N(2000), Step: func(client *redis.Client, worker int) bool {
			memory := &memories[worker]
			last := len(*memory) - 1
			if last >= 0 && (*memory)[last].isActive && last%2 == 1 {
				err := revokeAccess(ctx, client, (*memory)[last].token)
				(*memory)[last].isActive, (*memory)[last].isCertain = false, err == nil
				return err == nil
			}
			token := newSecret()
			err := issueAccess(ctx, client, token, alice(worker), time.Hour)
			*memory = append(*memory, known{token: token, isActive: true, isCertain: err == nil})
			return err == nil
		}})
		client := server.Client()
		for worker, memory := range memories {
			for _, known := range memory {
				active := isActive(t, client, known.token, alice(worker))
				if !known.isCertain {
					continue
				}
				harness.Equal(t, "active", active, known.isActive)
				if active {
					issued++
				} else {
					revoked++
				}
			}
		}
	}
	t.Logf("%d tokens issued and %d revoked with an answer", issued, revoked)
	if issued == 0 || revoked == 0 {
		t.Fatal("no load before the kills")
	}
}
