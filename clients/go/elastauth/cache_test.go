package elastauth

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sessile/clients/harness"
)

var ctx = context.Background()

func TestTwoInstancesHandOutOneCredential(t *testing.T) {
	d := deploy(t, harness.Start(t), config{lifetime: time.Hour})
	for _, user := range []string{"john.doe@me", "jürgen näß", "a b", "*?[x]"} {
		credential := d.first.credential(t, user)
		harness.Equal(t, "the other instance's credential", d.other.credential(t, user), credential)
		harness.Equal(t, "upserts", d.users.upsertCount(user), 1)
	}
	keys := harness.Must(t, d.store.Keys(ctx, keyPrefix+"*"))
	harness.Equal(t, "the number of keys", len(keys), 4)
	if !slices.Contains(keys, "elastauth-am9obi5kb2VAbWU%3D") {
		t.Fatalf("no key of john.doe@me in %q", keys)
	}
}

func TestTheStoreHoldsNoPassword(t *testing.T) {
	d := deploy(t, harness.Start(t), config{lifetime: time.Hour})
	credential := d.first.credential(t, "alice")
	value := harness.Must(t, d.store.Get(ctx, cacheKey("alice")))
	if strings.Contains(value, credential) {
		t.Fatal("the password lies in the clear")
	}
	opened, err := open(value, d.config.secretKey)
	if err != nil {
		t.Fatal(err)
	}
	harness.Equal(t, "the opened value", opened, credential)

	// An instance with another secret_key cannot use the entry, and must not replace it.
	stranger := serve(t, d.store, d.users, config{secretKey: newKey(), lifetime: time.Hour})
	if _, err := stranger.ask("alice"); err == nil {
		t.Fatal("another key opened the value")
	}
	harness.Expect(t, d.store.Get(ctx, cacheKey("alice")), value)
}

func TestLifetimeIsExtendedOnlyIfAsked(t *testing.T) {
	server := harness.Start(t)
	const lifetime, left = time.Hour, 100 * time.Second
	for number, extends := range []bool{false, true} {
		d := deploy(t, server, config{lifetime: lifetime, extends: extends}, harness.DB(number))
		d.first.credential(t, "alice")
		key := cacheKey("alice")
		if ttl := harness.Must(t, d.store.TTL(ctx, key)); ttl <= 0 || ttl > lifetime {
			t.Fatalf("a new entry lives for %v", ttl)
		}
		harness.Expect(t, d.store.Expire(ctx, key, left), true)
		d.other.credential(t, "alice")
		ttl := harness.Must(t, d.store.TTL(ctx, key))
		if isExtended := ttl > left; isExtended != extends || ttl <= 0 {
			t.Fatalf("extend_cache %v: %v are left of %v", extends, ttl, left)
		}
	}
}

func TestAnExpiredEntryIsMadeAnew(t *testing.T) {
	// Below a second the library sends PX.
	d := deploy(t, harness.Start(t), config{lifetime: 300 * time.Millisecond})
	credential := d.first.credential(t, "alice")
	harness.Eventually(t, "the entry expires", func() bool {
		return harness.Must(t, d.store.Exists(ctx, cacheKey("alice"))) == 0
	})
	if d.other.credential(t, "alice") == credential {
		t.Fatal("an expired credential was handed out")
	}
	harness.Equal(t, "upserts", d.users.upsertCount("alice"), 2)
}

func TestEnvironmentsDoNotSeeEachOther(t *testing.T) {
	server := harness.Start(t)
	var environments []deployment
	for number := range 3 {
		environments = append(environments, deploy(t, server, config{lifetime: time.Hour}, harness.DB(number)))
	}
	credentials := map[string]bool{}
	for _, environment := range environments {
		credentials[environment.first.credential(t, "alice")] = true
	}
	harness.Equal(t, "different credentials", len(credentials), 3)

	server.Crash()
	harness.Expect(t, environments[1].store.FlushDB(ctx), "OK")
	server.Crash()
	for number, environment := range environments {
		isFlushed := number == 1
		wantKeys, wantUpserts := int64(1), 1
		if isFlushed {
			wantKeys, wantUpserts = 0, 2
		}
		harness.Expect(t, environment.store.DBSize(ctx), wantKeys)
		environment.other.credential(t, "alice")
		harness.Equal(t, "upserts", environment.users.upsertCount("alice"), wantUpserts)
	}
}

// The command line of the documented compose file: password, memory limit and eviction. elastauth itself cannot send a
// password, the cachego manager that its documentation describes can.
func TestTheDocumentedServerFlags(t *testing.T) {
	const password = "a secret"
	server := harness.Start(t, "--requirepass", password, "--appendonly", "yes", "--appendfsync", "everysec",
		"--maxmemory", "512mb", "--maxmemory-policy", "allkeys-lru")
	bare := server.Client()
	harness.Refused(t, bare.Get(ctx, cacheKey("alice")), "NOAUTH Authentication required.")
	wrong := server.Client(harness.Password("default", "another"))
	harness.Refused(t, wrong.Get(ctx, cacheKey("alice")),
		"WRONGPASS invalid username-password pair or user is disabled.")

	for _, user := range []string{"", "default"} {
		d := deploy(t, server, config{lifetime: time.Hour}, harness.Password(user, password), harness.DB(len(user)%2))
		harness.Equal(t, "the credential", d.other.credential(t, "alice"), d.first.credential(t, "alice"))
		harness.Expect(t, d.store.ConfigGet(ctx, "maxmemory-p*"), map[string]string{"maxmemory-policy": "allkeys-lru"})
	}
	// Without its password an instance still serves, from Elasticsearch alone.
	alone := deploy(t, server, config{lifetime: time.Hour})
	if first := alone.first.credential(t, "bob"); first == alone.other.credential(t, "bob") {
		t.Fatal("the second instance cannot know the first one's credential")
	}
}

func TestManyRequestsAtOnceAgree(t *testing.T) {
	d := deploy(t, harness.Start(t), config{lifetime: time.Hour, extends: true})
	users := userNames(20)
	for _, user := range users {
		d.first.credential(t, user)
	}
	var group sync.WaitGroup
	failures := make(chan string, 1000)
	for n := range 20 {
		instance := d.first
		if n%2 == 1 {
			instance = d.other
		}
		group.Go(func() {
			for _, user := range users {
				if password, err := instance.ask(user); err != nil || !d.users.accepts(user, password) {
					failures <- user
				}
			}
		})
	}
	group.Wait()
	harness.Equal(t, "requests without a valid credential", len(failures), 0)
	for _, user := range users {
		harness.Equal(t, "upserts", d.users.upsertCount(user), 1)
	}
}
