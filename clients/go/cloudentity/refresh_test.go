package cloudentity

import (
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

func login(t *testing.T, client *redis.Client) string {
	t.Helper()
	token, err := startFamily(ctx, client, "alice")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// use rotates a token and fails the test unless the verdict is want; it gives the successor.
func use(t *testing.T, client *redis.Client, by rotation, token string, want verdict) string {
	t.Helper()
	successor := newRefreshToken(familyOf(token))
	got, err := by.rotate(ctx, client, token, successor)
	if err != nil {
		t.Fatal(err)
	}
	harness.Equal(t, "the verdict", got, want)
	return successor
}

func worth(t *testing.T, client *redis.Client, token string, want verdict) {
	t.Helper()
	got, err := lookUp(ctx, client, token)
	if err != nil {
		t.Fatal(err)
	}
	harness.Equal(t, "what the token is worth", got, want)
}

// chain rotates a fresh login's token a few times and gives all tokens, the newest last.
func chain(t *testing.T, client *redis.Client, by rotation, length int) []string {
	t.Helper()
	tokens := []string{login(t, client)}
	for len(tokens) < length {
		tokens = append(tokens, use(t, client, by, tokens[len(tokens)-1], rotated))
	}
	return tokens
}

func TestReuseOfAnyOldTokenRevokesTheFamilyForGood(t *testing.T) {
	for _, by := range rotations {
		t.Run(by.name, func(t *testing.T) {
			server := harness.Start(t)
			client := server.Client()
			bystander := chain(t, client, by, 3)
			var families [][]string
			for age := 1; age <= 5; age++ {
				family := chain(t, client, by, 6)
				harness.Expect(t, client.HGet(ctx, refreshKey(family[5]), "number"), "6")
				use(t, client, by, family[5-age], reused)
				families = append(families, family)
			}
			for range 2 {
				for _, family := range families {
					for _, token := range family {
						worth(t, client, token, revoked)
					}
					successor := use(t, client, by, family[5], revoked)
					harness.Expect(t, client.Exists(ctx, refreshKey(successor), refreshKey(family[5])), 0)
				}
				worth(t, client, bystander[0], reused)
				worth(t, client, bystander[2], rotated)
				server.Crash()
			}
			use(t, client, by, bystander[2], rotated)
			use(t, client, by, newRefreshToken("no family"), unknown)
			use(t, client, by, newRefreshToken(familyOf(bystander[0])), unknown)
		})
	}
}

// A client that sends one token from many threads at once gets one successor; the others count as thieves.
func TestOneOfManyRotatesAToken(t *testing.T) {
	const rivals = 50
	for _, by := range rotations {
		t.Run(by.name, func(t *testing.T) {
			server := harness.Start(t)
			client := server.Client(harness.Pool(rivals))
			for range 5 {
				token := login(t, client)
				var mutex sync.Mutex
				var group sync.WaitGroup
				counts := map[verdict]int{}
				for range rivals {
					group.Go(func() {
						answer, err := by.rotate(ctx, client, token, newRefreshToken(familyOf(token)))
						if err != nil {
							t.Errorf("%v", err)
						}
						mutex.Lock()
						defer mutex.Unlock()
						counts[answer]++
					})
				}
				group.Wait()
				harness.Equal(t, "verdicts", counts, map[verdict]int{rotated: 1, reused: 1, revoked: rivals - 2})
				current := harness.Must(t, client.HGet(ctx, familyKey(familyOf(token)), "current"))
				harness.Expect(t, client.Exists(ctx, current), 0)
				server.Crash()
				worth(t, client, token, revoked)
			}
		})
	}
}

// lineage is what one worker knows of its family.
type lineage struct {
	tokens []string
	// attempt is the successor of a rotation without an answer.
	attempt string
	// isRevoked is certain; a theft that was tried without an answer may have revoked the family.
	isTheftTried, isRevoked bool
}

// Families are rotated, and some of them stolen from, while the server is killed. An answer holds; what had none has
// happened as a whole or not at all.
func TestRotationsSurviveKillsAsAWhole(t *testing.T) {
	const workers, rounds = 16, 8
	for _, by := range rotations {
		t.Run(by.name, func(t *testing.T) {
			server := harness.Start(t)
			random := harness.Random(t)
			var ended []*lineage
			rotations, cut := 0, 0
			for range rounds {
				families := make([]*lineage, workers)
				for n := range families {
					families[n] = &lineage{tokens: []string{login(t, server.Client())}}
				}
				thefts := random.Perm(workers)[:workers/4]
				load := harness.Load{Workers: workers, KillAt: 100 + random.Int64N(1000)}
				load.Step = func(client *redis.Client, worker int) bool {
					return families[worker].step(t, client, by, slices.Contains(thefts, worker))
				}
				server.KillUnder(load)
				client := server.Client()
				for _, family := range families {
					rotations += len(family.tokens) - 1
					cut += family.check(t, client)
				}
				ended = append(ended, families...)
			}
			t.Logf("%d rotations were acknowledged, %d had no answer and were done", rotations, cut)
			revocations := 0
			for _, family := range ended {
				family.check(t, server.Client())
				if family.isRevoked {
					revocations++
				}
			}
			if rotations == 0 || revocations == 0 {
				t.Fatal("no load before the kills")
			}
		})
	}
}

// step rotates the newest token, or with five tokens uses an old one if the family is to be stolen from.
func (l *lineage) step(t *testing.T, client *redis.Client, by rotation, isStolen bool) bool {
	newest := l.tokens[len(l.tokens)-1]
	if isStolen && len(l.tokens) == 5 {
		l.isTheftTried = true
		answer, err := by.rotate(ctx, client, l.tokens[1], newRefreshToken(familyOf(newest)))
		l.isRevoked = err == nil
		if err == nil && answer != reused {
			t.Errorf("a stolen token is %s", answer)
		}
		return false
	}
	successor := newRefreshToken(familyOf(newest))
	answer, err := by.rotate(ctx, client, newest, successor)
	if err != nil {
		l.attempt = successor
		return false
	}
	if answer != rotated {
		t.Errorf("a rotation of the newest token ended as %s", answer)
		return false
	}
	l.tokens = append(l.tokens, successor)
	return true
}

// check fails the test where the store contradicts an answer, or shows half of something. It gives 1 if a rotation
// without an answer had been done.
func (l *lineage) check(t *testing.T, client *redis.Client) (cut int) {
	t.Helper()
	last := len(l.tokens) - 1
	if l.isRevoked {
		worth(t, client, l.tokens[last], revoked)
		return 0
	}
	newest, err := lookUp(ctx, client, l.tokens[last])
	if err != nil {
		t.Fatal(err)
	}
	if l.isTheftTried && newest == revoked {
		return 0
	}
	for _, token := range l.tokens[:last] {
		worth(t, client, token, reused)
	}
	if l.attempt == "" {
		harness.Equal(t, "what the newest token is worth", newest, rotated)
		return 0
	}
	wantAttempt := unknown
	if newest == reused {
		wantAttempt, cut = rotated, 1
	} else {
		harness.Equal(t, "what the newest token is worth", newest, rotated)
	}
	worth(t, client, l.attempt, wantAttempt)
	return cut
}
