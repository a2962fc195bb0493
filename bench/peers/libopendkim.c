/*
 * Signs and verifies with libopendkim, and runs OpenSSL's RSA alone, on command; see ../peer.go for the protocol.
 * Usage: libopendkim KEY-PEM RECORD-FILE DOMAIN SELECTOR
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <opendkim/dkim.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define CHUNK 65535
#define MAX_FIELDS 64

static char *record;

struct text { char *at; size_t len; };

static struct text slurp(const char *path)
{
	struct text t = { NULL, 0 };
	FILE *f = fopen(path, "rb");
	if (f == NULL || fseek(f, 0, SEEK_END) != 0)
		return t;
	long n = ftell(f);
	rewind(f);
	t.at = malloc(n + 1);
	if (t.at != NULL && fread(t.at, 1, n, f) == (size_t)n) {
		t.at[n] = 0;
		t.len = n;
	}
	fclose(f);
	return t;
}

static double cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static DKIM_CBSTAT lookup(DKIM *d, DKIM_SIGINFO *s, u_char *buf, size_t len)
{
	(void)d; (void)s;
	if (strlen(record) + 1 > len)
		return DKIM_CBSTAT_ERROR;
	strcpy((char *)buf, record);
	return DKIM_CBSTAT_CONTINUE;
}

/* fields cuts the header into fields without their final CRLF and returns how many; body is what follows the empty line. */
static int fields(struct text m, struct text *out, struct text *body)
{
	int n = 0;
	char *p = m.at, *end = m.at + m.len;
	while (p + 1 < end && !(p[0] == '\r' && p[1] == '\n') && n < MAX_FIELDS) {
		char *q = p;
		for (;;) {
			q = strstr(q, "\r\n");
			if (q == NULL)
				return -1;
			if (q[2] != ' ' && q[2] != '\t')
				break;
			q += 2;
		}
		out[n].at = p;
		out[n++].len = q - p;
		p = q + 2;
	}
	body->at = p + 2;
	body->len = end - p - 2;
	return n;
}

static DKIM_STAT feed(DKIM *d, struct text *f, int n, struct text body)
{
	DKIM_STAT s = DKIM_STAT_OK;
	for (int i = 0; i < n && s == DKIM_STAT_OK; i++)
		s = dkim_header(d, (u_char *)f[i].at, f[i].len);
	if (s == DKIM_STAT_OK)
		s = dkim_eoh(d);
	for (size_t at = 0; at < body.len && s == DKIM_STAT_OK; at += CHUNK)
		s = dkim_body(d, (u_char *)body.at + at, body.len - at < CHUNK ? body.len - at : CHUNK);
	if (s == DKIM_STAT_OK)
		s = dkim_eom(d, NULL);
	return s;
}

/* rsa runs OpenSSL's RSA-2048 with SHA-256's digest alone: the floor of what uses OpenSSL. */
static int rsa(const char *what, EVP_PKEY *key, long count)
{
	unsigned char digest[32] = { 1 }, sig[512];
	size_t len = sizeof sig;
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	if (EVP_PKEY_sign_init(c) <= 0 || EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) <= 0 ||
	    EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) <= 0 || EVP_PKEY_sign(c, sig, &len, digest, sizeof digest) <= 0)
		return 0;
	if (strcmp(what, "rsasign") == 0) {
		for (long i = 0; i < count; i++) {
			len = sizeof sig;
			if (EVP_PKEY_sign(c, sig, &len, digest, sizeof digest) <= 0)
				return 0;
		}
		EVP_PKEY_CTX_free(c);
		return 1;
	}
	EVP_PKEY_CTX *v = EVP_PKEY_CTX_new(key, NULL);
	if (EVP_PKEY_verify_init(v) <= 0 || EVP_PKEY_CTX_set_rsa_padding(v, RSA_PKCS1_PADDING) <= 0 ||
	    EVP_PKEY_CTX_set_signature_md(v, EVP_sha256()) <= 0)
		return 0;
	for (long i = 0; i < count; i++)
		if (EVP_PKEY_verify(v, sig, len, digest, sizeof digest) <= 0)
			return 0;
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_CTX_free(v);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	struct text pem = slurp(argv[1]), rec = slurp(argv[2]);
	record = rec.at;
	BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	DKIM_LIB *lib = dkim_init(NULL, NULL);
	if (lib == NULL || key == NULL || record == NULL)
		return 2;
	u_char *names[] = { (u_char *)"From", (u_char *)"To", (u_char *)"Subject", (u_char *)"Date", (u_char *)"Message-ID",
		(u_char *)"MIME-Version", (u_char *)"Content-Type", NULL };
	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_SIGNHDRS, names, sizeof(u_char **));
	dkim_set_key_lookup(lib, lookup);

	char what[16], path[2048], out[2048];
	long count;
	while (scanf("%15s %2047s %ld %2047s", what, path, &count, out) == 4) {
		if (strncmp(what, "rsa", 3) == 0) {
			double begin = cpu();
			if (rsa(what, key, count))
				printf("ok %.6f\n", cpu() - begin);
			else
				printf("err OpenSSL refused\n");
			fflush(stdout);
			continue;
		}
		int sign = strcmp(what, "sign") == 0;
		struct text m = slurp(path), f[MAX_FIELDS], body = { NULL, 0 };
		int n = m.at == NULL ? -1 : fields(m, f, &body);
		u_char **made = calloc(count, sizeof *made);
		DKIM_STAT s = n < 0 ? DKIM_STAT_SYNTAX : DKIM_STAT_OK;
		double begin = cpu();
		for (long i = 0; i < count && s == DKIM_STAT_OK; i++) {
			DKIM *d = sign ? dkim_sign(lib, (u_char *)"bench", NULL, (dkim_sigkey_t)pem.at, (u_char *)argv[4], (u_char *)argv[3],
				DKIM_CANON_RELAXED, DKIM_CANON_RELAXED, DKIM_SIGN_RSASHA256, -1, &s)
				: dkim_verify(lib, (u_char *)"bench", NULL, &s);
			if (d == NULL)
				break;
			s = feed(d, f, n, body);
			if (sign && s == DKIM_STAT_OK) {
				u_char *field;
				size_t len;
				s = dkim_getsighdr_d(d, strlen("DKIM-Signature: "), &field, &len);
				if (s == DKIM_STAT_OK)
					made[i] = (u_char *)strdup((char *)field);
			}
			dkim_free(d);
		}
		double used = cpu() - begin;
		if (s != DKIM_STAT_OK) {
			printf("err libopendkim: %s\n", dkim_getresultstr(s));
		} else {
			FILE *o = sign ? fopen(out, "wb") : NULL;
			for (long i = 0; o != NULL && i < count; i++) {
				fprintf(o, "DKIM-Signature: %s", made[i]);
				fputc(0, o);
			}
			if (o != NULL)
				fclose(o);
			printf("ok %.6f\n", used);
		}
		fflush(stdout);
		for (long i = 0; i < count; i++)
			free(made[i]);
		free(made);
		free(m.at);
	}
	return 0;
}
