package goredis

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

const receiveLimit = 20 * time.Second

// next gives the next thing that a subscription receives, confirmations included.
func next(t *testing.T, subscription *redis.PubSub) any {
	t.Helper()
	received, err := subscription.ReceiveTimeout(ctx, receiveLimit)
	if err != nil {
		t.Fatal(err)
	}
	return received
}

func expectNext(t *testing.T, subscription *redis.PubSub, want any) {
	t.Helper()
	harness.Equal(t, "received", next(t, subscription), want)
}

func confirmation(kind, channel string, count int) *redis.Subscription {
	return &redis.Subscription{Kind: kind, Channel: channel, Count: count}
}

func TestPubSub(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		subscription := client.Subscribe(ctx, "events", "logins")
		defer subscription.Close()
		expectNext(t, subscription, confirmation("subscribe", "events", 1))
		expectNext(t, subscription, confirmation("subscribe", "logins", 2))
		if err := subscription.PSubscribe(ctx, "ev*"); err != nil {
			t.Fatal(err)
		}
		expectNext(t, subscription, confirmation("psubscribe", "ev*", 3))

		harness.Expect(t, client.Publish(ctx, "events", "a\x00\r\nb"), 2)
		expectNext(t, subscription, &redis.Message{Channel: "events", Payload: "a\x00\r\nb"})
		expectNext(t, subscription, &redis.Message{Channel: "events", Pattern: "ev*", Payload: "a\x00\r\nb"})
		harness.Expect(t, client.Publish(ctx, "evening", "x"), 1)
		expectNext(t, subscription, &redis.Message{Channel: "evening", Pattern: "ev*", Payload: "x"})
		harness.Expect(t, client.Publish(ctx, "nobody", "x"), 0)

		expectSet(t, client.PubSubChannels(ctx, "*"), "events", "logins")
		expectSet(t, client.PubSubChannels(ctx, "log*"), "logins")
		harness.Expect(t, client.PubSubNumSub(ctx, "events", "nobody"), map[string]int64{"events": 1, "nobody": 0})
		harness.Expect(t, client.PubSubNumPat(ctx), 1)

		if err := subscription.Ping(ctx, "alive"); err != nil {
			t.Fatal(err)
		}
		expectNext(t, subscription, &redis.Pong{Payload: "alive"})
		if err := subscription.Unsubscribe(ctx, "events"); err != nil {
			t.Fatal(err)
		}
		expectNext(t, subscription, confirmation("unsubscribe", "events", 2))
		if err := subscription.PUnsubscribe(ctx); err != nil {
			t.Fatal(err)
		}
		expectNext(t, subscription, confirmation("punsubscribe", "ev*", 1))
		harness.Expect(t, client.Publish(ctx, "events", "x"), 0)
	})
}

func TestShardedPubSub(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		subscription := client.SSubscribe(ctx, "{t}events")
		defer subscription.Close()
		expectNext(t, subscription, confirmation("ssubscribe", "{t}events", 1))
		harness.Expect(t, client.SPublish(ctx, "{t}events", "x"), 1)
		expectNext(t, subscription, &redis.Message{Channel: "{t}events", Payload: "x"})
		harness.Expect(t, client.Publish(ctx, "{t}events", "not for shards"), 0)
		expectSet(t, client.PubSubShardChannels(ctx, "*"), "{t}events")
		harness.Expect(t, client.PubSubChannels(ctx, "*"), []string{})
		harness.Expect(t, client.PubSubShardNumSub(ctx, "{t}events"), map[string]int64{"{t}events": 1})
		if err := subscription.SUnsubscribe(ctx, "{t}events"); err != nil {
			t.Fatal(err)
		}
		expectNext(t, subscription, confirmation("sunsubscribe", "{t}events", 0))
		harness.Expect(t, client.SPublish(ctx, "{t}events", "x"), 0)
	})
}

func TestMessagesArriveInOrder(t *testing.T) {
	const count = 20_000
	inBoth(t, func(t *testing.T, client *redis.Client) {
		subscription := client.Subscribe(ctx, "numbers")
		defer subscription.Close()
		expectNext(t, subscription, confirmation("subscribe", "numbers", 1))
		channel := subscription.ChannelSize(count)
		_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for n := range count {
				pipe.Publish(ctx, "numbers", n)
				// Among writes, each of which the message after it has to wait for.
				if n%100 == 0 {
					pipe.Set(ctx, "last", n, 0)
				}
			}
			return nil
		})
		harness.Equal(t, "the pipeline's error", err, nil)
		deadline := time.After(receiveLimit)
		for n := range count {
			select {
			case message := <-channel:
				harness.Equal(t, "the message", message.Payload, fmt.Sprint(n))
			case <-deadline:
				t.Fatalf("only %d messages arrived", n)
			}
		}
	})
}

func TestKeyspaceEvents(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		harness.Expect(t, client.ConfigSet(ctx, "notify-keyspace-events", "KEA"), "OK")
		subscription := client.PSubscribe(ctx, "__key*__:*")
		defer subscription.Close()
		expectNext(t, subscription, confirmation("psubscribe", "__key*__:*", 1))
		harness.Expect(t, client.Set(ctx, "session", "1", 10*time.Millisecond), "OK")
		harness.Eventually(t, "the key expires", func() bool { return harness.Must(t, client.Exists(ctx, "session")) == 0 })
		for _, event := range []string{"set", "expire", "expired"} {
			expectNext(t, subscription, &redis.Message{Channel: "__keyspace@0__:session", Pattern: "__key*__:*", Payload: event})
			expectNext(t, subscription, &redis.Message{Channel: "__keyevent@0__:" + event, Pattern: "__key*__:*", Payload: "session"})
		}
		harness.Expect(t, client.ConfigSet(ctx, "notify-keyspace-events", ""), "OK")
	})
}
