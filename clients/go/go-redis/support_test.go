package goredis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

var ctx = context.Background()

func protocol(version int) func(*redis.Options) {
	return func(options *redis.Options) { options.Protocol = version }
}

// inBoth runs a test in both versions of the protocol, each with an empty server.
func inBoth(t *testing.T, run func(t *testing.T, client *redis.Client)) {
	t.Helper()
	server := harness.Start(t)
	for _, version := range []int{2, 3} {
		t.Run("RESP"+strconv.Itoa(version), func(t *testing.T) {
			client := server.Client(protocol(version))
			harness.Expect(t, client.FlushAll(ctx), "OK")
			harness.Equal(t, "the protocol", clientField(t, client, "resp"), strconv.Itoa(version))
			run(t, client)
		})
	}
}

// clientField is a field of the connection's line in CLIENT INFO.
func clientField(t *testing.T, client redis.Cmdable, name string) string {
	t.Helper()
	line := harness.Must(t, client.(interface {
		Do(context.Context, ...any) *redis.Cmd
	}).Do(ctx, "CLIENT", "INFO"))
	for field := range strings.FieldsSeq(line.(string)) {
		if value, ok := strings.CutPrefix(field, name+"="); ok {
			return value
		}
	}
	return "none"
}

// infoField is a field of INFO.
func infoField(t *testing.T, client *redis.Client, section, name string) string {
	t.Helper()
	for line := range strings.Lines(harness.Must(t, client.Info(ctx, section))) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("INFO %s has no %s", section, name)
	return ""
}

// hasNews72 tells whether the server has what is new in Redis 7.2; Debian's is 7.0.
func hasNews72(t *testing.T, client *redis.Client) bool {
	t.Helper()
	return !strings.HasPrefix(infoField(t, client, "server", "redis_version"), "7.0.")
}

// awaitBlocked waits until so many clients are blocked.
func awaitBlocked(t *testing.T, client *redis.Client, count int) {
	t.Helper()
	harness.Eventually(t, "clients are blocked", func() bool {
		return infoField(t, client, "clients", "blocked_clients") == strconv.Itoa(count)
	})
}

// expectSet compares without regard to order.
func expectSet(t *testing.T, reply harness.Reply[[]string], want ...string) {
	t.Helper()
	got := slices.Clone(harness.Must(t, reply))
	slices.Sort(got)
	slices.Sort(want)
	harness.Equal(t, "the set", got, want)
}
