package cloudentity

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

const (
	contenders = 100
	app        = "app"
)

var ctx = context.Background()

func issueCodes(t *testing.T, client *redis.Client, count int) []string {
	t.Helper()
	codes := make([]string, count)
	for n := range codes {
		code, err := issueCode(ctx, client, app)
		if err != nil {
			t.Fatal(err)
		}
		codes[n] = code
	}
	return codes
}

// contest lets every contender try every code, and gives the attempts that won, by code.
func contest(t *testing.T, client *redis.Client, by redeemer, codes []string, wave string) map[string][]string {
	t.Helper()
	var mutex sync.Mutex
	var group sync.WaitGroup
	winners := map[string][]string{}
	for contender := range contenders {
		group.Go(func() {
			attempt := fmt.Sprintf("%s-%d", wave, contender)
			for _, code := range codes {
				won, err := by.redeem(ctx, client, code, app, attempt)
				if err != nil {
					t.Errorf("%s: %v", attempt, err)
				}
				if won {
					mutex.Lock()
					winners[code] = append(winners[code], attempt)
					mutex.Unlock()
				}
			}
		})
	}
	group.Wait()
	return winners
}

func TestOneOfAHundredRedeemsACode(t *testing.T) {
	server := harness.Start(t)
	client := server.Client(harness.Pool(contenders))
	for _, by := range redeemers {
		t.Run(by.name, func(t *testing.T) {
			codes := issueCodes(t, client, 20)
			winners := contest(t, client, by, codes, "only")
			for _, code := range codes {
				harness.Equal(t, "the number of winners", len(winners[code]), 1)
				harness.Expect(t, client.Exists(ctx, codeKey(code)), 0)
				if by.keepsRecord {
					harness.Expect(t, client.Get(ctx, redeemedKey(code)), winners[code][0])
				}
			}
		})
	}
}

func TestACodeOfAnotherClientOrPastItsTimeIsWorthNothing(t *testing.T) {
	server := harness.Start(t)
	client := server.Client()
	for _, by := range redeemers {
		t.Run(by.name, func(t *testing.T) {
			code := issueCodes(t, client, 1)[0]
			check := func(what, oauthClient string, want bool) {
				t.Helper()
				won, err := by.redeem(ctx, client, code, oauthClient, "attempt")
				if err != nil || won != want {
					t.Fatalf("%s: %v, %v", what, won, err)
				}
			}
			check("another client's code", "stranger", false)
			if by.keepsRecord {
				check("its own code", app, true)
			}
			check("a code that is gone", app, false)

			code = issueCodes(t, client, 1)[0]
			harness.Expect(t, client.PExpire(ctx, codeKey(code), time.Millisecond), true)
			harness.Eventually(t, "the code expires", func() bool {
				return harness.Must(t, client.Exists(ctx, codeKey(code))) == 0
			})
			check("an expired code", app, false)
			harness.Expect(t, client.Exists(ctx, redeemedKey(code)), 0)
		})
	}
}

// fate is what is known of a code after the kill.
type fate struct {
	won, unknown []string
}

func TestAKillInTheMiddleMakesNoSecondWinner(t *testing.T) {
	for _, by := range redeemers {
		t.Run(by.name, func(t *testing.T) {
			server := harness.Start(t)
			random := harness.Random(t)
			var acknowledged, settled, open int
			for range 6 {
				codes := issueCodes(t, server.Client(), 20)
				fates := redeemUntilKilled(server, by, codes, random.Int64N(int64(contenders*len(codes))))
				client := server.Client(harness.Pool(contenders))
				later := contest(t, client, by, codes, "later")
				for _, code := range codes {
					first, second := fates[code], later[code]
					harness.Equal(t, "winners, before and after the kill",
						len(first.won) <= 1 && len(first.won)+len(second) <= 1, true)
					switch {
					case len(first.won) == 1:
						acknowledged++
					case len(second) == 1:
						open++
					default:
						// Somebody must have redeemed it without being told.
						settled++
						if len(first.unknown) == 0 {
							t.Fatal("a code was redeemed by nobody")
						}
					}
					if by.keepsRecord {
						record := harness.Must(t, client.Get(ctx, redeemedKey(code)))
						checkRecord(t, record, first, second)
					}
				}
			}
			t.Logf("%d codes redeemed with an answer, %d without one, %d after the kill", acknowledged, settled, open)
			if acknowledged == 0 || open == 0 {
				t.Fatal("no kill hit the middle")
			}
		})
	}
}

// redeemUntilKilled has contenders try all codes, each in their order.
func redeemUntilKilled(server *harness.Server, by redeemer, codes []string, killAt int64) map[string]*fate {
	var mutex sync.Mutex
	fates := map[string]*fate{}
	for _, code := range codes {
		fates[code] = &fate{}
	}
	next := make([]atomic.Int64, contenders)
	server.KillUnder(harness.Load{Workers: contenders, KillAt: killAt, Step: func(client *redis.Client, worker int) bool {
		n := next[worker].Add(1) - 1
		if n == int64(len(codes)) {
			return false
		}
		attempt := fmt.Sprintf("first-%d", worker)
		won, err := by.redeem(ctx, client, codes[n], app, attempt)
		mutex.Lock()
		defer mutex.Unlock()
		if err != nil {
			fates[codes[n]].unknown = append(fates[codes[n]].unknown, attempt)
		} else if won {
			fates[codes[n]].won = append(fates[codes[n]].won, attempt)
		}
		return err == nil
	}})
	return fates
}

// checkRecord: the record names the winner, or one who was not told.
func checkRecord(t *testing.T, record string, first *fate, second []string) {
	t.Helper()
	candidates := first.unknown
	if len(first.won)+len(second) == 1 {
		candidates = append(first.won, second...)
	}
	for _, candidate := range candidates {
		if candidate == record {
			return
		}
	}
	t.Fatalf("%q redeemed the code, and not one of %q", record, candidates)
}
