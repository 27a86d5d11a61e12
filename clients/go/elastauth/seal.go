package elastauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// newKey is a fresh AES-256 key in the hexadecimal form of `secret_key`.
func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return hex.EncodeToString(key)
}

// seal encrypts a password with AES-GCM: base64 of the hexadecimal text of nonce and ciphertext.
func seal(password, key string) (string, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	sealed := aead.Seal(nonce, nonce, []byte(password), nil)
	return base64.URLEncoding.EncodeToString([]byte(hex.EncodeToString(sealed))), nil
}

// open is the way back; it fails if the key is another one or a single bit has changed.
func open(value, key string) (string, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return "", err
	}
	text, err := base64.URLEncoding.DecodeString(value)
	if err != nil {
		return "", err
	}
	sealed, err := hex.DecodeString(string(text))
	if err != nil {
		return "", err
	}
	if len(sealed) < aead.NonceSize() {
		return "", errors.New("too short for a nonce")
	}
	password, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	return string(password), err
}

func newAEAD(key string) (cipher.AEAD, error) {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
