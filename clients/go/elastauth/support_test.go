package elastauth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

// front is an instance behind its HTTP server, as the load balancer sees it.
type front struct {
	*instance
	http *httptest.Server
}

func serve(t *testing.T, client *redis.Client, users *directory, config config) front {
	t.Helper()
	created := newInstance(client, users, config)
	server := httptest.NewServer(created)
	t.Cleanup(server.Close)
	return front{instance: created, http: server}
}

// ask sends one request for a user and gives the password that the answer carries.
func (f front) ask(user string) (string, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.http.URL, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set(userHeader, user)
	response, err := f.http.Client().Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", response.StatusCode)
	}
	request.Header.Set("Authorization", response.Header.Get("Authorization"))
	name, password, ok := request.BasicAuth()
	if !ok || name != user {
		return "", fmt.Errorf("no credential of %s: %q", user, response.Header.Get("Authorization"))
	}
	return password, nil
}

// credential asks and fails the test unless Elasticsearch would accept the answer.
func (f front) credential(t *testing.T, user string) string {
	t.Helper()
	password, err := f.ask(user)
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	if !f.directory.accepts(user, password) {
		t.Fatalf("%s: Elasticsearch has another password than the cache", user)
	}
	return password
}

// deployment is two instances with one configuration behind one store.
type deployment struct {
	store        *redis.Client
	users        *directory
	config       config
	first, other front
}

func deploy(t *testing.T, server *harness.Server, change config, edits ...func(*redis.Options)) deployment {
	t.Helper()
	users := newDirectory()
	config := config{secretKey: newKey(), lifetime: change.lifetime, extends: change.extends}
	return deployment{
		store:  server.Client(edits...),
		users:  users,
		config: config,
		first:  serve(t, server.Client(edits...), users, config),
		other:  serve(t, server.Client(edits...), users, config),
	}
}

func userNames(count int) []string {
	names := make([]string, count)
	for n := range names {
		names[n] = fmt.Sprintf("user%d@example.com", n)
	}
	return names
}
