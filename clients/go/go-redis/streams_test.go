package goredis

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

func add(t *testing.T, client *redis.Client, ids ...string) {
	t.Helper()
	for _, id := range ids {
		harness.Expect(t, client.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: id, Values: []any{"id", id}}), id)
	}
}

func messages(ids ...string) []redis.XMessage {
	list := make([]redis.XMessage, len(ids))
	for n, id := range ids {
		list[n] = redis.XMessage{ID: id, Values: map[string]any{"id": id}}
	}
	return list
}

func TestStreams(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expectInt := harness.Expect[int64]
		add(t, client, "1-0", "1-1", "2-0", "3-0")
		harness.Refused(t, client.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "1-5", Values: []any{"k", "v"}}),
			"ERR The ID specified in XADD is equal or smaller than the target stream top item")
		harness.Nothing(t, client.XAdd(ctx, &redis.XAddArgs{Stream: "absent", NoMkStream: true, Values: []any{"k", "v"}}))
		expectInt(t, client.XLen(ctx, "s"), 4)
		harness.Expect(t, client.XRange(ctx, "s", "-", "+"), messages("1-0", "1-1", "2-0", "3-0"))
		harness.Expect(t, client.XRangeN(ctx, "s", "(1-0", "+", 2), messages("1-1", "2-0"))
		harness.Expect(t, client.XRevRange(ctx, "s", "2", "1"), messages("2-0", "1-1", "1-0"))
		harness.Expect(t, client.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "absent", "2-0", "0"}, Count: 5, Block: -1}),
			[]redis.XStream{{Stream: "s", Messages: messages("3-0")}})
		harness.Nothing(t, client.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "3-0"}, Block: -1}))
		expectInt(t, client.XDel(ctx, "s", "1-1", "9-9"), 1)
		info := harness.Must(t, client.XInfoStream(ctx, "s"))
		harness.Equal(t, "XINFO STREAM", []any{info.Length, info.LastGeneratedID, info.MaxDeletedEntryID, info.EntriesAdded,
			info.RecordedFirstEntryID, info.FirstEntry.ID, info.LastEntry.ID}, []any{int64(3), "3-0", "1-1", int64(4), "1-0", "1-0", "3-0"})
		expectInt(t, client.XTrimMinID(ctx, "s", "2"), 1)
		expectInt(t, client.XTrimMaxLen(ctx, "s", 1), 1)
		harness.Expect(t, client.XRange(ctx, "s", "-", "+"), messages("3-0"))
		harness.Expect(t, client.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "4-*", MaxLen: 1, Values: []any{"k", "v"}}), "4-0")
		expectInt(t, client.XLen(ctx, "s"), 1)
	})
}

func TestStreamGroups(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expectInt := harness.Expect[int64]
		read := func(consumer, from string, count int64) *redis.XStreamSliceCmd {
			return client.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: consumer, Streams: []string{"s", from}, Count: count, Block: -1})
		}
		harness.Refused(t, read("c", ">", 1),
			"NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")
		harness.Refused(t, client.XGroupCreate(ctx, "s", "g", "0"),
			"ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.")
		harness.Expect(t, client.XGroupCreateMkStream(ctx, "s", "g", "0"), "OK")
		harness.Refused(t, client.XGroupCreate(ctx, "s", "g", "0"), "BUSYGROUP Consumer Group name already exists")
		harness.Nothing(t, read("alice", ">", 1))
		add(t, client, "1-0", "2-0", "3-0", "4-0")
		harness.Expect(t, read("alice", ">", 3), []redis.XStream{{Stream: "s", Messages: messages("1-0", "2-0", "3-0")}})
		harness.Expect(t, read("bob", ">", 3), []redis.XStream{{Stream: "s", Messages: messages("4-0")}})
		harness.Expect(t, read("alice", "1-0", 9), []redis.XStream{{Stream: "s", Messages: messages("2-0", "3-0")}})
		expectInt(t, client.XAck(ctx, "s", "g", "1-0", "9-0"), 1)
		harness.Expect(t, client.XPending(ctx, "s", "g"),
			&redis.XPending{Count: 3, Lower: "2-0", Higher: "4-0", Consumers: map[string]int64{"alice": 2, "bob": 1}})
		pending := harness.Must(t, client.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: "s", Group: "g", Start: "-", End: "+", Count: 9, Consumer: "alice"}))
		harness.Equal(t, "pending", len(pending), 2)
		harness.Equal(t, "the first one's deliveries", []any{pending[0].ID, pending[0].RetryCount}, []any{"2-0", int64(2)})

		harness.Expect(t, client.XClaim(ctx, &redis.XClaimArgs{Stream: "s", Group: "g", Consumer: "carol", Messages: []string{"2-0", "9-0"}}), messages("2-0"))
		harness.Expect(t, client.XClaimJustID(ctx, &redis.XClaimArgs{Stream: "s", Group: "g", Consumer: "carol", MinIdle: time.Hour, Messages: []string{"3-0"}}), []string{})
		expectInt(t, client.XDel(ctx, "s", "3-0"), 1)
		claimed, start, deleted, err := client.XAutoClaimWithDeleted(ctx,
			&redis.XAutoClaimArgs{Stream: "s", Group: "g", Consumer: "carol", Start: "0"}).Result()
		harness.Equal(t, "XAUTOCLAIM", []any{claimed, start, deleted, err},
			[]any{messages("2-0", "4-0"), "0-0", []string{"3-0"}, nil})

		groups := harness.Must(t, client.XInfoGroups(ctx, "s"))
		harness.Equal(t, "XINFO GROUPS", groups, []redis.XInfoGroup{{Name: "g", Consumers: 3, Pending: 2, LastDeliveredID: "4-0", EntriesRead: 4, Lag: 0}})
		consumers := harness.Must(t, client.XInfoConsumers(ctx, "s", "g"))
		harness.Equal(t, "the consumers", []any{len(consumers), consumers[2].Name, consumers[2].Pending}, []any{3, "carol", int64(2)})
		full := harness.Must(t, client.XInfoStreamFull(ctx, "s", 0))
		harness.Equal(t, "XINFO STREAM FULL", []any{full.Length, full.Entries, len(full.Groups), full.Groups[0].Pending[0].Consumer},
			[]any{int64(3), messages("1-0", "2-0", "4-0"), 1, "carol"})
		expectInt(t, client.XGroupDelConsumer(ctx, "s", "g", "carol"), 2)
		expectInt(t, client.XGroupCreateConsumer(ctx, "s", "g", "dave"), 1)
		harness.Expect(t, client.XGroupSetID(ctx, "s", "g", "1-0"), "OK")
		harness.Expect(t, read("dave", ">", 1), []redis.XStream{{Stream: "s", Messages: messages("2-0")}})
		expectInt(t, client.XGroupDestroy(ctx, "s", "g"), 1)
	})
}
