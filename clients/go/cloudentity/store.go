// Package cloudentity uses the store as an OAuth authorization server like Cloudentity's does: authorization codes that
// may be redeemed once, access tokens with a lifetime, refresh tokens that are replaced at each use and whose family is
// revoked when one is used twice, and sessions with an index of each subject's.
//
// Cloudentity is closed source; what it keeps is documented, which commands it sends is not. So what must happen at once
// is done in the ways that programs with go-redis do it: one command, a Lua script, or WATCH with MULTI. Keys that belong
// together share a hash tag, as a cluster asks for.
package cloudentity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/redis/go-redis/v9"
)

// watchTries bounds how often an optimistic transaction is tried against others.
const watchTries = 200

// newSecret is what a client gets to see of a code, token or session.
func newSecret() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

// digest is what the store gets to see of a secret.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// optimistic runs a transaction over watched keys until nobody else wrote to them meanwhile.
func optimistic(ctx context.Context, client *redis.Client, attempt func(*redis.Tx) error, keys ...string) error {
	for range watchTries {
		if err := client.Watch(ctx, attempt, keys...); !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
	return redis.TxFailedErr
}
