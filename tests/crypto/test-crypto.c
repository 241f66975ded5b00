/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secrets, authorization, TLS credentials and sessions, sources of entropy. */
#include "engine/char/char.h"
#include "engine/crypto/authz.h"
#include "engine/crypto/secret.h"
#include "engine/crypto/tls-session.h"
#include "engine/rng/rng.h"
#include "tests/crypto/pki.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <linux/keyctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct Fixture
{
  VmLock *lock;
  bool entered;
  VmLoop *loop;
  VmClocks *clocks;
  VmObject *root;
  char *dir, *other; /* folders for files */
} Fixture;

static void
set_up (Fixture *f, const void *data)
{
  f->lock = vm_lock_new ();
  f->loop = vm_loop_new ("test", f->lock);
  f->clocks = vm_clocks_new (f->loop);
  f->root = vm_object_new (&vm_container_type);
  f->dir = g_dir_make_tmp ("test-crypto-XXXXXX", NULL);
  f->other = g_dir_make_tmp ("test-crypto-XXXXXX", NULL);
  f->entered = vm_lock_enter (f->lock);
}

static void
tear_down (Fixture *f, const void *data)
{
  vm_object_unref (f->root);
  vm_lock_leave (f->lock, f->entered);
  vm_clocks_free (f->clocks);
  vm_loop_free (f->loop);
  vm_lock_free (f->lock);
  pki_remove (f->dir);
  pki_remove (f->other);
  g_free (f->dir);
  g_free (f->other);
}

/* "%" in TEXT is the test's folder, "^" the other one. */
static char *
in_dir (Fixture *f, const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "%", -1);
  g_autofree char *half = g_strjoinv (f->dir, parts);
  g_auto (GStrv) others = g_strsplit (half, "^", -1);

  return g_strjoinv (f->other, others);
}

static VmObject *
make (Fixture *f, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *full = in_dir (f, text);
  VmObject *obj = pki_object (f->root, full, &error);

  g_assert_no_error (error);
  return obj;
}

static void
expect_error (Fixture *f, const char *text, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *full = in_dir (f, text), *want = in_dir (f, message);

  g_assert_null (pki_object (f->root, full, &error));
  g_assert_cmpstr (error->message, ==, want);
}

static void
put_file (Fixture *f, const char *name, const char *text)
{
  g_autofree char *path = in_dir (f, name);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

/* --- secrets ------------------------------------------------------------------------------------- */

static void
expect_secret (Fixture *f, const char *id, const char *want)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *got = vm_secret_get_text (f->root, id, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (got, ==, want);
}

static void
test_secret (Fixture *f, const void *data)
{
  static const char *const wrong[][2] = {
    { "secret,id=s", "Either 'file' or 'data' must be provided" },
    { "secret,id=s,data=a,file=b", "'file' and 'data' are mutually exclusive" },
    { "secret,id=s,data=YWJj!,format=base64", "Base64 data contains invalid characters" },
    { "secret,id=s,data=a,format=foo", "Parameter 'format' does not accept value 'foo'" },
    { "secret,id=s,data=a,keyid=k", "No secret with id 'k'" },
    { "secret,id=s,data=a,keyid=raw", "Key should be 32 bytes in length" },
    { "secret,id=s,data=a,keyid=master", "IV is required to decrypt secret" },
    { "secret,id=s,data=YWJj,keyid=master,iv=AAAA,format=base64", "IV should be 16 bytes in length not 3" },
    { "secret,id=s,data=YWJj,keyid=master,iv=AAAAAAAAAAAAAAAAAAAAAA==,format=base64",
      "Length 3 must be a multiple of block size 16" },
    { "secret,id=s,data=AAAAAAAAAAAAAAAA,keyid=master,iv=AAAAAAAAAAAAAAAAAAAAAA==",
      "Incorrect number of padding bytes (61) found on decrypted data" },
    { "secret,id=s,data=a,loaded=on", "Property 'secret.loaded' is not writable" },
    { "secret_keyring,id=s", "Parameter 'serial' is missing" },
  };
  g_autoptr (GError) error = NULL;
  size_t len;

  put_file (f, "%/pw", "from a file\n");
  make (f, "secret,id=raw,data=geheim");
  make (f, "secret,id=b64,data=Z2VoZWlt,format=base64");
  make (f, "secret,id=file,file=%/pw");
  make (f, "secret,id=empty,data=,format=base64");
  make (f, "secret,id=binary,data=/wA=,format=base64");
  make (f, "secret,id=master,data=YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=,format=base64");
  expect_secret (f, "raw", "geheim");
  expect_secret (f, "b64", "geheim");
  expect_secret (f, "file", "from a file\n");
  expect_secret (f, "empty", "");
  g_assert_null (vm_secret_get_text (f->root, "binary", &error));
  g_assert_cmpstr (error->message, ==, "Data from secret binary is not valid UTF-8");
  g_autofree uint8_t *bytes = vm_secret_get (f->root, "binary", &len, NULL);
  g_assert_cmpmem (bytes, len, "\xff", 2);
  for (unsigned i = 0; i < G_N_ELEMENTS (wrong); i++)
    expect_error (f, wrong[i][0], wrong[i][1]);
}

/* Each length around a block, as a management program would encrypt it. */
static void
test_encrypted (Fixture *f, const void *data)
{
  static const unsigned char key[32] = "0123456789abcdef0123456789abcdef", iv[16] = "fedcba9876543210";
  g_autofree char *key64 = g_base64_encode (key, 32), *iv64 = g_base64_encode (iv, 16);
  g_autofree char *master = g_strdup_printf ("secret,id=master,data=%s,format=base64", key64);

  make (f, master);
  for (unsigned n = 0; n <= 33; n++)
    {
      g_autofree char *plain = g_strnfill (n, 'x');
      unsigned padding = 16 - n % 16;
      uint8_t block[64];
      gnutls_cipher_hd_t cipher;
      const gnutls_datum_t k = { (unsigned char *) key, 32 }, v = { (unsigned char *) iv, 16 };

      memcpy (block, plain, n);
      memset (block + n, padding, padding);
      g_assert_cmpint (gnutls_cipher_init (&cipher, GNUTLS_CIPHER_AES_256_CBC, &k, &v), ==, 0);
      g_assert_cmpint (gnutls_cipher_encrypt (cipher, block, n + padding), ==, 0);
      gnutls_cipher_deinit (cipher);
      g_autofree char *text = g_base64_encode (block, n + padding);
      g_autofree char *spec = g_strdup_printf ("secret,id=s%u,data=%s,keyid=master,iv=%s,format=base64", n, text, iv64);
      g_autofree char *id = g_strdup_printf ("s%u", n);
      make (f, spec);
      expect_secret (f, id, plain);
    }
}

static void
test_keyring (Fixture *f, const void *data)
{
  long serial = syscall (SYS_add_key, "user", "vitrine-test", "hidden", 6, KEY_SPEC_PROCESS_KEYRING);

  if (serial < 0)
    {
      g_test_skip ("no key ring here");
      return;
    }
  g_autofree char *spec = g_strdup_printf ("secret_keyring,id=k,serial=%ld", serial);
  make (f, spec);
  expect_secret (f, "k", "hidden");
}

/* --- authorization ------------------------------------------------------------------------------- */

static bool
allows (Fixture *f, const char *id, const char *who)
{
  return vm_authz_check (f->root, id, who, NULL);
}

static void
test_authz (Fixture *f, const void *data)
{
  g_autoptr (GError) error = NULL;

  make (f, "authz-simple,id=one,identity=CN=otto,,O=x");
  g_assert_true (allows (f, "one", "CN=otto,O=x"));
  g_assert_false (vm_authz_check (f->root, "one", "CN=eve", &error));
  g_assert_cmpstr (error->message, ==, "authorization object 'one' denies 'CN=eve'");
  g_assert_false (allows (f, "none", "x"));

  make (f, "authz-list,id=list,policy=deny,rules.0.match=eve,rules.0.policy=deny,rules.1.match=*e,"
           "rules.1.policy=allow,rules.1.format=glob,rules.2.match=*,rules.2.policy=allow");
  g_assert_true (allows (f, "list", "alice-e"));
  g_assert_false (allows (f, "list", "eve"));
  g_assert_false (allows (f, "list", "bob"));
  g_assert_true (allows (f, "list", "*")); /* exact */
  make (f, "authz-list,id=open,policy=allow");
  g_assert_true (allows (f, "open", "anybody"));

  expect_error (f, "authz-simple,id=a", "Parameter 'identity' is missing");
  expect_error (f, "authz-list,id=a,policy=foo", "Parameter 'policy' does not accept value 'foo'");
  expect_error (f, "authz-list,id=a,rules.0.match=x", "Parameter 'rules[0].policy' is missing");
  expect_error (f, "authz-list,id=a,rules.1.match=x,rules.1.policy=deny", "Parameter 'rules[0].match' is missing");
  expect_error (f, "authz-list,id=a,rules.99999999999.match=x", "Invalid parameter 'rules.99999999999.match'");
  expect_error (f, "authz-list,id=a,rules.0.foo=x", "Parameter 'rules.0.foo' is unexpected");
  expect_error (f, "authz-pam,id=a", "Parameter 'service' is missing");
}

static void
test_authz_file (Fixture *f, const void *data)
{
  put_file (f, "%/acl", "{ \"policy\": \"deny\", \"rules\": [ { \"match\": \"otto\", \"policy\": \"allow\" } ] }");
  make (f, "authz-list-file,id=fresh,filename=%/acl");
  make (f, "authz-listfile,id=stale,filename=%/acl,refresh=off");
  g_assert_true (allows (f, "fresh", "otto"));
  g_assert_false (allows (f, "fresh", "eve"));
  put_file (f, "%/acl", "{ \"policy\": \"allow\", \"rules\": [ { \"match\": \"otto\", \"policy\": \"deny\" } ] }");
  g_assert_false (allows (f, "fresh", "otto"));
  g_assert_true (allows (f, "fresh", "eve"));
  g_assert_true (allows (f, "stale", "otto"));
  put_file (f, "%/acl", "{ broken");
  g_assert_false (allows (f, "fresh", "eve"));
  g_assert_false (allows (f, "fresh", "eve"));
  put_file (f, "%/acl", "{ \"policy\": \"allow\" }");
  g_assert_true (allows (f, "fresh", "otto"));

  put_file (f, "%/acl", "{ \"rules\": [ { \"match\": \"otto\" } ] }");
  expect_error (f, "authz-list-file,id=a,filename=%/acl", "'%/acl': Parameter 'rules[0].policy' is missing");
  put_file (f, "%/acl", "{ \"foo\": 1 }");
  expect_error (f, "authz-list-file,id=a,filename=%/acl", "'%/acl': Parameter 'foo' is unexpected");
  expect_error (f, "authz-list-file,id=a,filename=%/none", "Unable to read '%/none': No such file or directory");
  expect_error (f, "authz-list-file,id=a", "Parameter 'filename' is missing");
}

static void
test_authz_pam (Fixture *f, const void *data)
{
  g_autoptr (GError) error = NULL;

  if (!pki_object (f->root, "authz-pam,id=p,service=vitrine-no-such-service", &error))
    {
      g_test_skip (error->message);
      return;
    }
  g_assert_false (allows (f, "p", "no-such-user-here"));
}

/* --- credentials --------------------------------------------------------------------------------- */

static void
test_creds (Fixture *f, const void *data)
{
  static const struct
  {
    PkiSpec spec;
    const char *message; /* NULL: they are fine */
  } cases[] = {
    { { .cn = "localhost" }, NULL },
    { { .cn = "localhost", .expired = true }, "The server certificate %/server-cert.pem has expired" },
    { { .cn = "localhost", .not_yet = true }, "The server certificate %/server-cert.pem is not yet active" },
    { { .cn = "localhost", .is_ca = true },
      "The certificate %/server-cert.pem basic constraints show a CA, but we need one for a server" },
    { { .cn = "localhost", .no_key = true },
      "Unable to access credentials %/server-key.pem: No such file or directory" },
    { { .cn = "localhost", .password = "auf" },
      "Cannot load certificate '%/server-cert.pem' & key '%/server-key.pem': Decryption has failed." },
  };
  size_t len;

  expect_error (f, "tls-creds-x509,id=t", "Missing 'dir' property value");
  expect_error (f, "tls-creds-x509,id=t,dir=%",
                "Unable to access credentials %/ca-cert.pem: No such file or directory");
  expect_error (f, "tls-creds-anon,id=t,endpoint=foo", "Parameter 'endpoint' does not accept value 'foo'");
  expect_error (f, "tls-creds-psk,id=t", "Missing 'dir' property value");
  expect_error (f, "tls-creds-psk,id=t,dir=%", "Unable to access credentials %/keys.psk: No such file or directory");
  expect_error (f, "tls-cipher-suites,id=t", "'priority' property is not set");
  for (unsigned i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      pki_remove (f->dir);
      pki_make (f->dir, &cases[i].spec);
      if (cases[i].message)
        expect_error (f, "tls-creds-x509,id=t,dir=%,endpoint=server", cases[i].message);
      else
        make (f, "tls-creds-x509,id=good,dir=%,endpoint=server");
    }
  make (f, "secret,id=pw,data=auf");
  make (f, "tls-creds-x509,id=locked,dir=%,endpoint=server,passwordid=pw");
  make (f, "tls-creds-x509,id=bare,dir=%"); /* a client needs no certificate */
  put_file (f, "%/keys.psk", "otto:00112233\n");
  expect_error (f, "tls-creds-psk,id=t,dir=%", "Username qemu not found in PSK file %/keys.psk");
  expect_error (f, "tls-creds-psk,id=t,dir=%,endpoint=server,username=x",
                "username should not be set when endpoint=server");

  make (f, "tls-cipher-suites,id=suites,priority=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM");
  g_autofree uint8_t *suites = vm_tls_cipher_suites (f->root, "suites", &len, NULL);
  g_assert_cmpmem (suites, len, "\x13\x01", 2);
}

/* --- sessions ------------------------------------------------------------------------------------ */

typedef struct End
{
  VmTlsSession *session;
  bool done;
  GError *error;
} End;

static void
end_done (void *opaque, const GError *error)
{
  End *end = opaque;

  end->done = true;
  end->error = error ? g_error_copy (error) : NULL;
}

/* Shakes hands over a socket pair; the ends are [0] the server and [1] the client. */
static void
shake (Fixture *f, const char *server, const char *client, const char *hostname, const char *authz, End ends[2],
       int fds[2])
{
  g_autoptr (GError) error = NULL;
  VmTlsCreds *s = vm_tls_creds_find (f->root, server, VM_TLS_SERVER, &error);
  g_assert_no_error (error);
  VmTlsCreds *c = vm_tls_creds_find (f->root, client, VM_TLS_CLIENT, &error);
  g_assert_no_error (error);

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
  ends[0] = (End){ vm_tls_session_new (s, NULL, authz, &error) };
  g_assert_no_error (error);
  ends[1] = (End){ vm_tls_session_new (c, hostname, NULL, &error) };
  g_assert_no_error (error);
  for (unsigned i = 0; i < 2; i++)
    vm_tls_session_start (ends[i].session, f->loop, fds[i], end_done, &ends[i]);
  for (unsigned i = 0; i < 5000 && !(ends[0].done && ends[1].done); i++)
    {
      vm_loop_iterate (f->loop, false);
      for (unsigned n = 0; n < 2; n++) /* a failed end goes away, which the other one sees */
        if (ends[n].done && ends[n].error && fds[n] >= 0)
          {
            close (fds[n]);
            fds[n] = -1;
          }
      g_usleep (200);
    }
  g_assert_true (ends[0].done && ends[1].done);
}

static void
part (End ends[2], int fds[2])
{
  for (unsigned i = 0; i < 2; i++)
    {
      vm_tls_session_free (ends[i].session);
      g_clear_error (&ends[i].error);
      if (fds[i] >= 0)
        close (fds[i]);
    }
}

/* A million bytes one way and back, in pieces, with the ends never waiting for each other. */
static void
exchange (VmTlsSession *from, VmTlsSession *to)
{
  enum
  {
    TOTAL = 1000000
  };
  uint8_t out[5000], in[3000];
  size_t sent = 0, got = 0;

  while (got < TOTAL)
    {
      for (unsigned i = 0; i < sizeof out; i++)
        out[i] = (uint8_t) ((sent + i) * 7 + ((sent + i) >> 8));
      ssize_t n = sent < TOTAL ? vm_tls_session_write (from, out, MIN (sizeof out, TOTAL - sent)) : 0;
      sent += MAX (n, 0);
      vm_tls_session_flush (from);
      while ((n = vm_tls_session_read (to, in, sizeof in)) > 0)
        for (ssize_t i = 0; i < n; i++, got++)
          g_assert_cmpuint (in[i], ==, (uint8_t) (got * 7 + (got >> 8)));
      g_assert_cmpint (n, ==, -1);
      g_assert_cmpint (errno, ==, EAGAIN);
    }
}

static void
talk (Fixture *f, const char *server, const char *client, const char *authz, const char *peer)
{
  End ends[2];
  int fds[2];
  char byte;

  shake (f, server, client, "localhost", authz, ends, fds);
  g_assert_no_error (ends[0].error);
  g_assert_no_error (ends[1].error);
  g_assert_cmpstr (vm_tls_session_peer (ends[0].session), ==, peer);
  exchange (ends[0].session, ends[1].session);
  exchange (ends[1].session, ends[0].session);
  vm_tls_session_bye (ends[1].session);
  g_assert_cmpint (vm_tls_session_read (ends[0].session, &byte, 1), ==, 0);
  close (fds[0]);
  fds[0] = -1;
  part (ends, fds);
}

static void
test_session (Fixture *f, const void *data)
{
  pki_make (f->dir, &(PkiSpec){ .cn = "localhost" });
  pki_make (f->dir, &(PkiSpec){ .cn = "otto", .client = true });
  put_file (f, "%/keys.psk", "qemu:00112233445566778899aabbccddeeff\nanna:ffeeddccbbaa99887766554433221100\n");
  make (f, "tls-creds-anon,id=as,endpoint=server");
  make (f, "tls-creds-anon,id=ac,endpoint=client");
  make (f, "tls-creds-psk,id=ps,dir=%,endpoint=server");
  make (f, "tls-creds-psk,id=pc,dir=%,username=anna");
  make (f, "tls-creds-x509,id=xs,dir=%,endpoint=server");
  make (f, "tls-creds-x509,id=xc,dir=%");
  make (f, "tls-creds-x509,id=x2,dir=%,priority=NORMAL:-VERS-ALL:+VERS-TLS1.2");
  make (f, "authz-simple,id=otto,identity=CN=otto");
  make (f, "authz-simple,id=anna,identity=anna");
  talk (f, "as", "ac", NULL, NULL);
  talk (f, "ps", "pc", "anna", "anna");
  talk (f, "xs", "xc", "otto", "CN=otto");
  talk (f, "xs", "x2", "otto", "CN=otto");
}

static void
refuse (Fixture *f, const char *server, const char *client, const char *hostname, const char *authz,
        const char *server_says, const char *client_says)
{
  End ends[2];
  int fds[2];

  shake (f, server, client, hostname, authz, ends, fds);
  const char *want[2] = { server_says, client_says };
  for (unsigned i = 0; i < 2; i++)
    if (want[i])
      {
        g_assert_nonnull (ends[i].error);
        g_assert_nonnull (strstr (ends[i].error->message, want[i]));
      }
  part (ends, fds);
}

static void
test_refused (Fixture *f, const void *data)
{
  pki_make (f->dir, &(PkiSpec){ .cn = "localhost" });
  pki_make (f->dir, &(PkiSpec){ .cn = "otto", .client = true });
  pki_make (f->other, &(PkiSpec){ .cn = "eve", .client = true, .other_ca = true });
  put_file (f, "%/keys.psk", "qemu:00112233445566778899aabbccddeeff\n");
  put_file (f, "^/keys.psk", "qemu:ffeeddccbbaa99887766554433221100\n");
  make (f, "tls-creds-x509,id=xs,dir=%,endpoint=server");
  make (f, "tls-creds-x509,id=xc,dir=%");
  make (f, "tls-creds-x509,id=strange,dir=^");
  make (f, "tls-creds-x509,id=trusting,dir=^,verify-peer=off");
  make (f, "tls-creds-psk,id=ps,dir=%,endpoint=server");
  make (f, "tls-creds-psk,id=wrong,dir=^");
  make (f, "tls-creds-anon,id=as,endpoint=server");
  make (f, "tls-creds-anon,id=ac");
  make (f, "authz-simple,id=anna,identity=CN=anna");
  refuse (f, "xs", "xc", "elsewhere", NULL, NULL, "The name in the certificate does not match");
  refuse (f, "xs", "strange", "localhost", NULL, NULL, "The peer's certificate is refused");
  refuse (f, "xs", "trusting", "localhost", NULL, "certificate", NULL);
  refuse (f, "xs", "xc", "localhost", "anna", "authorization object 'anna' denies 'CN=otto'", NULL);
  refuse (f, "xs", "xc", "localhost", "none", "cannot find authorization object 'none'", NULL);
  refuse (f, "ps", "wrong", NULL, NULL, "TLS handshake failed", NULL);
  refuse (f, "as", "ac", NULL, "anna", "shows no name", NULL);
  refuse (f, "xs", "ac", NULL, NULL, "TLS handshake failed", "TLS handshake failed");

  g_autoptr (GError) error = NULL;
  g_assert_null (vm_tls_creds_find (f->root, "xs", VM_TLS_CLIENT, &error));
  g_assert_cmpstr (error->message, ==, "Expected TLS credentials for a client endpoint");
}

/* Whatever a peer sends instead of a handshake is an error, not a crash, and nothing is waited for. */
static void
test_garbage (Fixture *f, const void *data)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  make (f, "tls-creds-anon,id=as,endpoint=server");
  VmTlsCreds *creds = vm_tls_creds_find (f->root, "as", VM_TLS_SERVER, NULL);
  for (unsigned round = 0; round < 200; round++)
    {
      End end = { vm_tls_session_new (creds, NULL, NULL, NULL) };
      uint8_t bytes[600] = { 0x16, 3, 1 };
      int fds[2];

      for (unsigned i = round & 1 ? 3 : 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) g_rand_int (rand);
      g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
      vm_tls_session_start (end.session, f->loop, fds[0], end_done, &end);
      g_assert_cmpint (send (fds[1], bytes, sizeof bytes, 0), ==, sizeof bytes);
      shutdown (fds[1], SHUT_WR);
      for (unsigned i = 0; i < 1000 && !end.done; i++)
        vm_loop_iterate (f->loop, false);
      g_assert_true (end.done);
      g_assert_nonnull (end.error);
      g_clear_error (&end.error);
      vm_tls_session_free (end.session);
      close (fds[0]);
      close (fds[1]);
    }
}

/* --- entropy ------------------------------------------------------------------------------------- */

typedef struct Taker
{
  GByteArray *got;
  unsigned calls;
} Taker;

static void
take (void *opaque, const uint8_t *buf, size_t len)
{
  Taker *t = opaque;

  g_byte_array_append (t->got, buf, len);
  t->calls++;
}

static void
turn (Fixture *f, const Taker *t, unsigned calls)
{
  for (unsigned i = 0; i < 2000 && t->calls < calls; i++)
    {
      vm_loop_iterate (f->loop, false);
      g_usleep (100);
    }
  g_assert_cmpuint (t->calls, ==, calls);
}

static void
test_rng (Fixture *f, const void *data)
{
  Taker t = { g_byte_array_new () };

  make (f, "rng-builtin,id=b");
  make (f, "rng-random,id=r");
  expect_error (f, "rng-random,id=x,filename=/nonexistent", "Could not open '/nonexistent': No such file or directory");
  VmRng *builtin = vm_rng_find (f->root, "b", NULL), *random = vm_rng_find (f->root, "r", NULL);
  g_assert_nonnull (vm_rng_request (builtin, f->loop, 100, take, &t));
  g_assert_nonnull (vm_rng_request (random, f->loop, 50, take, &t));
  g_assert_cmpuint (t.calls, ==, 0);
  VmRngRequest *last = vm_rng_request (random, f->loop, 50, take, &t);
  vm_rng_cancel (last);
  turn (f, &t, 2);
  g_assert_cmpuint (t.got->len, ==, 150);
  /* The queue has an end. */
  unsigned n = 0;
  while (n < 1000 && vm_rng_request (random, f->loop, 1, take, &t))
    n++;
  g_assert_cmpuint (n, <, 1000);
  turn (f, &t, 2 + n);
  g_assert_null (vm_rng_find (f->root, "nobody", NULL));
  g_byte_array_unref (t.got);
}

static void
test_egd (Fixture *f, const void *data)
{
  VmCharEnv env = { .loop = f->loop, .clocks = f->clocks, .root = f->root };
  g_autoptr (GError) error = NULL;
  Taker t = { g_byte_array_new () };
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
  g_autofree char *text = g_strdup_printf ("socket,id=c,fd=%d", fds[0]);
  g_autoptr (VmCharOptions) options = vm_char_options_parse (text, &error);
  g_assert_nonnull (vm_chardev_new (&env, options, &error));
  g_assert_no_error (error);
  expect_error (f, "rng-egd,id=x", "Parameter 'chardev' is missing");
  expect_error (f, "rng-egd,id=x,chardev=y", "Device 'y' not found");
  VmRng *rng = (VmRng *) make (f, "rng-egd,id=e,chardev=c");
  vm_rng_request (rng, f->loop, 300, take, &t);
  uint8_t commands[8];
  ssize_t n = 0;
  for (unsigned i = 0; i < 1000 && n < 4; i++)
    {
      vm_loop_iterate (f->loop, false);
      ssize_t more = recv (fds[1], commands + n, sizeof commands - n, MSG_DONTWAIT);
      n += MAX (more, 0);
    }
  g_assert_cmpmem (commands, n, "\2\xff\2\x2d", 4); /* 255 and 45 bytes */
  g_assert_cmpint (send (fds[1], "abcdef", 6, 0), ==, 6);
  turn (f, &t, 1);
  g_assert_cmpmem (t.got->data, t.got->len, "abcdef", 6);
  vm_object_remove_child ((VmObject *) rng);
  vm_chardev_remove_all (&env);
  close (fds[1]);
  g_byte_array_unref (t.got);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/crypto/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("secret", test_secret);
  ADD ("encrypted", test_encrypted);
  ADD ("keyring", test_keyring);
  ADD ("authz", test_authz);
  ADD ("authz-file", test_authz_file);
  ADD ("authz-pam", test_authz_pam);
  ADD ("creds", test_creds);
  ADD ("session", test_session);
  ADD ("refused", test_refused);
  ADD ("garbage", test_garbage);
  ADD ("rng", test_rng);
  ADD ("egd", test_egd);
  return g_test_run ();
}
