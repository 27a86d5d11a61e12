package goredis

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

func TestAClientFindsItsWayBack(t *testing.T) {
	server := harness.Start(t)
	for _, version := range []int{2, 3} {
		client := server.Client(protocol(version), harness.Pool(5), harness.DB(version))
		var group sync.WaitGroup
		for n := range 20 {
			group.Go(func() {
				if err := client.Set(ctx, fmt.Sprint(n), n, 0).Err(); err != nil {
					t.Errorf("%v", err)
				}
			})
		}
		group.Wait()
		// With the library's defaults a kill between two commands goes unnoticed: it retries on a new connection, which
		// selects the database again.
		for n := range 5 {
			server.Crash()
			harness.Expect(t, client.Get(ctx, fmt.Sprint(n)), fmt.Sprint(n))
			harness.Expect(t, client.DBSize(ctx), 20)
		}
		server.Kill()
		if err := client.Get(ctx, "1").Err(); err == nil || errors.Is(err, redis.Nil) {
			t.Fatalf("an answer without a server: %v", err)
		}
		server.Restart()
		harness.Eventually(t, "the client connects again", func() bool { return client.Get(ctx, "1").Val() == "1" })
	}
}

// The library sends EVALSHA first; after a restart the server knows no script, and says NOSCRIPT.
func TestScriptsAreLoadedAgain(t *testing.T) {
	server := harness.Start(t)
	client := server.Client()
	script := redis.NewScript("return redis.call('INCR', KEYS[1])")
	for n := range 3 {
		harness.Expect(t, script.Run(ctx, client, []string{"n"}), any(int64(2*n+1)))
		harness.Expect(t, script.Run(ctx, client, []string{"n"}), any(int64(2*n+2)))
		server.Crash()
	}
}

func TestABlockedCallEndsWithItsServer(t *testing.T) {
	server := harness.Start(t)
	for _, version := range []int{2, 3} {
		client := server.Client(protocol(version), harness.Once)
		ended := make(chan error, 1)
		go func() { ended <- client.BLPop(ctx, time.Minute, "jobs").Err() }()
		awaitBlocked(t, server.Client(), 1)
		server.Kill()
		if err := <-ended; err == nil || errors.Is(err, redis.Nil) {
			t.Fatalf("the blocked call ended with %v", err)
		}
		server.Restart()
		harness.Expect(t, server.Client().RPush(ctx, "jobs", "job"), 1)
		harness.Eventually(t, "the job is taken", func() bool {
			return client.BLPop(ctx, time.Second, "jobs").Err() == nil
		})
	}
}

func TestASubscriptionIsMadeAgain(t *testing.T) {
	server := harness.Start(t)
	for _, version := range []int{2, 3} {
		client := server.Client(protocol(version))
		subscription := client.Subscribe(ctx, "events")
		if err := errors.Join(subscription.PSubscribe(ctx, "ev*"), subscription.SSubscribe(ctx, "shard")); err != nil {
			t.Fatal(err)
		}
		channel := subscription.Channel()
		for range 2 {
			harness.Eventually(t, "the subscriptions are there", func() bool {
				return client.PubSubNumSub(ctx, "events").Val()["events"] == 1 && client.PubSubNumPat(ctx).Val() == 1 &&
					client.PubSubShardNumSub(ctx, "shard").Val()["shard"] == 1
			})
			harness.Expect(t, client.Publish(ctx, "events", "x"), 2)
			harness.Expect(t, client.SPublish(ctx, "shard", "y"), 1)
			for _, want := range []redis.Message{
				{Channel: "events", Payload: "x"}, {Channel: "events", Pattern: "ev*", Payload: "x"}, {Channel: "shard", Payload: "y"},
			} {
				select {
				case message := <-channel:
					harness.Equal(t, "the message", *message, want)
				case <-time.After(receiveLimit):
					t.Fatalf("no message on %s", want.Channel)
				}
			}
			server.Crash()
		}
		_ = subscription.Close()
	}
}

// A transaction of two keys and a counter by pipeline, under kills: what had an answer is there, and never half of it.
func TestTransactionsThroughKills(t *testing.T) {
	const workers, rounds = 8, 6
	server := harness.Start(t)
	random := harness.Random(t)
	acknowledged := make([]int, workers)
	attempted := make([]int, workers)
	for range rounds {
		server.KillUnder(harness.Load{Workers: workers, KillAt: random.Int64N(1500), Step: func(client *redis.Client, worker int) bool {
			attempted[worker]++
			_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
				pipe.Set(ctx, fmt.Sprintf("{%d}a", worker), attempted[worker], 0)
				pipe.RPush(ctx, fmt.Sprintf("{%d}b", worker), attempted[worker])
				pipe.HSet(ctx, fmt.Sprintf("{%d}c", worker), "n", attempted[worker])
				return nil
			})
			if err == nil {
				acknowledged[worker] = attempted[worker]
			}
			return err == nil
		}})
		client := server.Client()
		for worker := range workers {
			newest, err := client.Get(ctx, fmt.Sprintf("{%d}a", worker)).Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				t.Fatal(err)
			}
			if newest != acknowledged[worker] && newest != attempted[worker] {
				t.Fatalf("%d is there, %d was acknowledged and %d the last attempt", newest, acknowledged[worker], attempted[worker])
			}
			if newest > 0 {
				harness.Expect(t, client.LIndex(ctx, fmt.Sprintf("{%d}b", worker), -1), fmt.Sprint(newest))
				harness.Expect(t, client.HGet(ctx, fmt.Sprintf("{%d}c", worker), "n"), fmt.Sprint(newest))
			}
		}
	}
	t.Logf("attempted %v", attempted)
}
