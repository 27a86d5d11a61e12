package elastauth

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// userHeader is where the authenticating proxy in front of elastauth names the user.
const userHeader = "Remote-User"

// directory is what instances need of Elasticsearch: the newest password of each user, and how often one was set. It
// stands in for the security API, which only has to agree or not.
type directory struct {
	mutex     sync.Mutex
	passwords map[string]string
	upserts   map[string]int
}

func newDirectory() *directory {
	return &directory{passwords: map[string]string{}, upserts: map[string]int{}}
}

func (d *directory) upsert(user, password string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.passwords[user] = password
	d.upserts[user]++
}

func (d *directory) accepts(user, password string) bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return password != "" && d.passwords[user] == password
}

func (d *directory) upsertCount(user string) int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.upserts[user]
}

// config is what differs between instances.
type config struct {
	secretKey string
	lifetime  time.Duration
	extends   bool
}

// instance is one elastauth: it answers a request of the proxy with the credential for Elasticsearch.
type instance struct {
	config    config
	cache     cache
	directory *directory
	// noteSet is told what became of a SET, for tests that have to know which entries were acknowledged.
	noteSet func(user string, err error)
}

func newInstance(client *redis.Client, users *directory, config config) *instance {
	return &instance{
		config:    config,
		cache:     cache{client: client, lifetime: config.lifetime},
		directory: users,
		noteSet:   func(string, error) {},
	}
}

func (i *instance) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	ctx := request.Context()
	user := request.Header.Get(userHeader)
	if user == "" {
		http.Error(response, "no user", http.StatusBadRequest)
		return
	}
	key := cacheKey(user)
	value, isHit := i.cache.get(ctx, key)
	if !isHit {
		password := newPassword()
		i.directory.upsert(user, password)
		sealed, err := seal(password, i.config.secretKey)
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		value = sealed
		i.noteSet(user, i.cache.set(ctx, key, value))
	}
	if i.config.extends {
		i.cache.extend(ctx, key)
	}
	password, err := open(value, i.config.secretKey)
	if err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
		return
	}
	request.SetBasicAuth(user, password)
	response.Header().Set("Authorization", request.Header.Get("Authorization"))
}

func newPassword() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}
