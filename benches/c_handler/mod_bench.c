/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark's floor: the same answers as benches/apps/bench.wsgi, from a C handler without Python.
 * What a WSGI module costs is what it needs more than this.
 */
#include "httpd.h"

#include "http_config.h"
#include "http_core.h"
#include "http_protocol.h"
#include "apr_strings.h"

static char body64k[65536];
static char block1k[1024];
static char json1k[1024];

static const char *const names[10] = {
    "X-Header-0", "X-Header-1", "X-Header-2", "X-Header-3", "X-Header-4",
    "X-Header-5", "X-Header-6", "X-Header-7", "X-Header-8", "X-Header-9",
};

static int send_file(request_rec *r)
{
    const char *path = apr_table_get(r->subprocess_env, "BENCH_FILE");
    apr_file_t *file;
    apr_finfo_t info;
    apr_size_t sent;

    if (path == NULL
        || apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY | APR_FOPEN_SENDFILE_ENABLED, 0, r->pool)
            != APR_SUCCESS
        || apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS)
        return HTTP_INTERNAL_SERVER_ERROR;
    ap_set_content_type(r, "application/octet-stream");
    ap_set_content_length(r, info.size);
    ap_send_fd(file, r, 0, (apr_size_t)info.size, &sent);
    return OK;
}

static int count_upload(request_rec *r)
{
    char buffer[8192];
    long count, total = 0;
    const char *text;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);

    if (status != OK)
        return status;
    if (ap_should_client_block(r))
        while ((count = ap_get_client_block(r, buffer, sizeof buffer)) > 0)
            total += count;
    text = apr_psprintf(r->pool, "%ld\n", total);
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return OK;
}

static int bench_handler(request_rec *r)
{
    const char *path = r->uri;
    int i;

    if (r->handler == NULL || strcmp(r->handler, "bench-handler") != 0)
        return DECLINED;
    if (strcmp(path, "/hello") == 0) {
        ap_set_content_type(r, "text/plain");
        ap_set_content_length(r, 12);
        ap_rwrite("Hello World\n", 12, r);
        return OK;
    }
    if (strcmp(path, "/json") == 0) {
        ap_set_content_type(r, "application/json");
        ap_set_content_length(r, sizeof json1k);
        for (i = 0; i < 10; i++)
            apr_table_addn(r->headers_out, names[i], "a value of some length");
        ap_rwrite(json1k, sizeof json1k, r);
        return OK;
    }
    if (strcmp(path, "/body64k") == 0) {
        ap_set_content_type(r, "application/octet-stream");
        ap_set_content_length(r, sizeof body64k);
        ap_rwrite(body64k, sizeof body64k, r);
        return OK;
    }
    if (strcmp(path, "/stream") == 0) {
        ap_set_content_type(r, "application/octet-stream");
        for (i = 0; i < 100; i++) {
            ap_rwrite(block1k, sizeof block1k, r);
            ap_rflush(r);
        }
        return OK;
    }
    if (strcmp(path, "/file") == 0)
        return send_file(r);
    if (strcmp(path, "/upload") == 0)
        return count_upload(r);
    return HTTP_NOT_FOUND;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    memset(body64k, 'x', sizeof body64k);
    memset(block1k, 'x', sizeof block1k);
    memset(json1k, ' ', sizeof json1k);
    memcpy(json1k, "{\"filler\": \"", 12);
    memset(json1k + 12, 'x', sizeof json1k - 14);
    memcpy(json1k + sizeof json1k - 2, "\"}", 2);
    ap_hook_handler(bench_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(bench) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0,
};
