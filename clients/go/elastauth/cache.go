// Package elastauth uses the store as elastauth does: a proxy in front of Elasticsearch that gives each user a password
// of its own making, and caches it, encrypted, so that all instances behind one load balancer hand out the same.
//
// The commands are GET, SET EX (PX below a second), TTL and EXPIRE, on keys that begin with `elastauth-`, in the database
// of the environment (0 production, 1 staging, 2 development). There is no PING at start. A failing GET counts as a miss,
// a failing SET is ignored.
package elastauth

import (
	"context"
	"encoding/base64"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
)

const keyPrefix = "elastauth-"

// cache keeps encrypted passwords by user.
type cache struct {
	client   *redis.Client
	lifetime time.Duration
}

// cacheKey encodes a user's name so that any byte of it may stand in a key.
func cacheKey(user string) string {
	return keyPrefix + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(user)))
}

// get gives what is cached; errors and empty values count as misses.
func (c cache) get(ctx context.Context, key string) (value string, isHit bool) {
	value, err := c.client.Get(ctx, key).Result()
	return value, err == nil && value != ""
}

// set returns the error only for tests: elastauth ignores it.
func (c cache) set(ctx context.Context, key, value string) error {
	return c.client.Set(ctx, key, value, c.lifetime).Err()
}

// extend gives an entry its full lifetime again once some of it has gone.
func (c cache) extend(ctx context.Context, key string) {
	left, err := c.client.TTL(ctx, key).Result()
	if err == nil && left > 0 && left < c.lifetime {
		c.client.Expire(ctx, key, c.lifetime)
	}
}
