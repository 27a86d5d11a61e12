package goredis

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

// Replies that the library does not type show what each version of the protocol has on the wire.
func TestUntypedReplies(t *testing.T) {
	type (
		list = []any
		dict = map[any]any
	)
	entry := list{"1-1", list{"k", "v"}}
	cases := []struct {
		command      string
		resp2, resp3 any
	}{
		{"SET s v", "OK", "OK"},
		{"HSET h k v", int64(1), int64(1)},
		{"SADD set m", int64(1), int64(1)},
		{"ZADD z 1.5 m 2 n", int64(2), int64(2)},
		{"XADD x 1-1 k v", "1-1", "1-1"},
		{"HGETALL h", list{"k", "v"}, dict{"k": "v"}},
		{"HGETALL absent", list{}, dict{}},
		{"SMEMBERS set", list{"m"}, list{"m"}},
		{"ZSCORE z m", "1.5", 1.5},
		{"ZRANGE z 0 -1 WITHSCORES", list{"m", "1.5", "n", "2"}, list{list{"m", 1.5}, list{"n", 2.0}}},
		{"ZADD z INCR 1 m", "2.5", 2.5},
		{"ZMSCORE z m absent", list{"2.5", nil}, list{2.5, nil}},
		{"ZPOPMAX z", list{"m", "2.5"}, list{"m", 2.5}},
		{"ZMPOP 1 z MIN", list{"z", list{list{"n", "2"}}}, list{"z", list{list{"n", 2.0}}}},
		{"ZPOPMIN absent", list{}, list{}},
		{"LMPOP 1 absent LEFT", nil, nil},
		{"CONFIG GET maxmemory-policy", list{"maxmemory-policy", "noeviction"}, dict{"maxmemory-policy": "noeviction"}},
		{"PUBSUB NUMSUB c", list{"c", int64(0)}, list{"c", int64(0)}},
		{"XREAD STREAMS x 0", list{list{"x", list{entry}}}, dict{"x": list{entry}}},
		{"XRANGE x - +", list{entry}, list{entry}},
		{"GEOADD g 13.361389 38.115556 Palermo", int64(1), int64(1)},
		{"EVAL return{1,false,'x',{ok='fine'}} 0", list{int64(1), nil, "x", "fine"}, list{int64(1), nil, "x", "fine"}},
		{"EVAL redis.setresp(3);return{double=3.5} 0", "3.5", 3.5},
		{"EVAL redis.setresp(3);return{map={a=1}} 0", list{"a", int64(1)}, dict{"a": int64(1)}},
		{"EVAL redis.setresp(3);return{set={a=true}} 0", list{"a"}, list{"a"}},
		{"EVAL redis.setresp(3);return(true) 0", int64(1), true},
	}
	inBoth(t, func(t *testing.T, client *redis.Client) {
		for _, c := range cases {
			want := c.resp2
			if clientField(t, client, "resp") == "3" {
				want = c.resp3
			}
			command := client.Do(ctx, words(c.command)...)
			if want == nil {
				harness.Nothing(t, command)
			} else {
				harness.Expect(t, command, want)
			}
		}
		harness.Refused(t, client.Do(ctx, "GET"), "ERR wrong number of arguments for 'get' command")
		harness.Refused(t, client.Do(ctx, "NOSUCH", "a", "b"),
			"ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ")
	})
}

func words(text string) []any {
	var words []any
	for word := range strings.FieldsSeq(text) {
		words = append(words, word)
	}
	return words
}
