package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	pollInterval = 10 * time.Millisecond
	waitLimit    = 20 * time.Second
	briefSize    = 300
)

// The library says so on stderr whenever a connection breaks; here they break on purpose.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Eventually polls a condition until it holds, and fails the test if it does not in time.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitLimit); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", waitLimit, what)
		}
	}
}

// Reply is any command of the library after it was sent.
type Reply[T any] interface {
	Result() (T, error)
}

// Expect fails the test unless a command's reply is want.
func Expect[T any](t testing.TB, reply Reply[T], want T) {
	t.Helper()
	got, err := reply.Result()
	if err != nil {
		t.Fatalf("%s: want %s, got the error %q", brief(reply), brief(want), err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: want %s, got %s", brief(reply), brief(want), brief(got))
	}
}

// Must gives a command's reply, and fails the test if it is an error.
func Must[T any](t testing.TB, reply Reply[T]) T {
	t.Helper()
	got, err := reply.Result()
	if err != nil {
		t.Fatalf("%s: %v", brief(reply), err)
	}
	return got
}

// Refused fails the test unless the server refused a command with exactly this text.
func Refused[T any](t testing.TB, reply Reply[T], text string) {
	t.Helper()
	got, err := reply.Result()
	if err == nil || err.Error() != text {
		t.Fatalf("%s: want the error %q, got %s and %v", brief(reply), text, brief(got), err)
	}
}

// Nothing fails the test unless the reply is the protocol's null, which the library gives as an error.
func Nothing[T any](t testing.TB, reply Reply[T]) {
	t.Helper()
	if got, err := reply.Result(); !errors.Is(err, redis.Nil) {
		t.Fatalf("%s: want nothing, got %s and %v", brief(reply), brief(got), err)
	}
}

// Equal fails the test unless both are equal, deeply.
func Equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: want %s, got %s", what, brief(want), brief(got))
	}
}

// brief is a value as Go writes it, or what of it fits into a message. A command shows itself with its reply.
func brief(value any) string {
	text := fmt.Sprintf("%#v", value)
	if command, ok := value.(redis.Cmder); ok {
		text = command.String()
	}
	if len(text) > briefSize {
		text = text[:briefSize] + "…"
	}
	return text
}

// Random is a generator whose seed is printed; SEED=n repeats a run.
func Random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64N(1 << 32)
	if text := os.Getenv("SEED"); text != "" {
		parsed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SEED is not a number: %v", err)
		}
		seed = parsed
	}
	t.Logf("SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
