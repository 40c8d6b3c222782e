/* Tests --new-token and --hash-token. */
#include "suites.h"
#include "support/folder.h"
#include "support/server_fixture.h"
#include "tokens.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void teardown(void)
{
    kill_server();
    folder_remove();
}

enum { WRITERS = 12 };

/* Concurrent runs that add tokens wait for each other. All tokens are added and counted. */
START_TEST(adds_tokens_one_at_a_time)
{
    char text[SERVER_TEXT] = "", head[64], names[WRITERS][32];
    struct server_process writers[WRITERS];
    const char *const option = folder_option("--token-file=", "tokens");
    folder_write("tokens", alice_line);
    for (int i = 0; i < WRITERS; i++) {
        snprintf(names[i], sizeof names[i], "--new-token=w%d", i);
        server_process_spawn(&writers[i], (const char *const[]){names[i], option, NULL});
    }
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(server_process_wait(&writers[i]), 0);
        server_process_free(&writers[i]);
    }
    FILE *const file = fopen(folder_path("tokens"), "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    fclose(file);
    snprintf(head, sizeof head, "# lossd tokens: %d\n", WRITERS + 1);
    ck_assert_msg(strncmp(text, head, strlen(head)) == 0, "not \"%s\": %s", head, text);
    size_t lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    ck_assert_uint_eq(lines, WRITERS + 2);
}
END_TEST

static void show_to_nobody(void)
{
    const int fd = open("/dev/full", O_WRONLY);
    dup2(fd, STDERR_FILENO);
}

START_TEST(fails_if_a_token_cannot_be_printed)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run_with((const char *const[]){"--new-token=carol", NULL},
                                             show_to_nobody, out, err),
                     1);
}
END_TEST

enum { OTHER_USER = 12345, OTHER_GROUP = 12346, TOKENS_MOST_IN_FILE = 10000 };

START_TEST(adds_tokens_to_the_file)
{
    char out[SERVER_TEXT], err[SERVER_TEXT], text[512] = "", token[64] = "";
    const char *const option = folder_option("--token-file=", "tokens");
    struct stat about;
    folder_write("tokens", alice_line);
    ck_assert_int_eq(chmod(folder_path("tokens"), 0640), 0);
    /* As if the user of the server owned the file. */
    ck_assert(geteuid() != 0 || chown(folder_path("tokens"), OTHER_USER, OTHER_GROUP) == 0);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=carol", option, NULL}, out, err), 0);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(sscanf(strrchr(err, ' '), " %63s", token), 1);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=dave", option, NULL}, out, err), 0);
    FILE *const file = fopen(folder_path("tokens"), "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    ck_assert_int_eq(fstat(fileno(file), &about), 0);
    fclose(file);
    ck_assert_uint_eq(about.st_mode & 07777, 0640);
    ck_assert_uint_eq(about.st_uid, geteuid() == 0 ? OTHER_USER : geteuid());
    ck_assert(geteuid() != 0 || about.st_gid == OTHER_GROUP);
    ck_assert_int_eq(strncmp(text, "# lossd tokens: 3\nalice:", 24), 0);
    ck_assert_ptr_nonnull(strstr(text, "\ncarol:"));
    ck_assert_ptr_nonnull(strstr(text, "\ndave:"));
    start_with_tokens(text);
    expect_known(token);
    expect_known(alice_token);
    folder_write("tokens", "alice:abc\n");
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=eve", option, NULL}, out, err), 1);
    expect_text(err, "line 1: not of the form NAME:SHA256");
}
END_TEST

/* A new file has the mode that the umask allows, and a link remains a link. */
START_TEST(creates_a_token_file_or_follows_a_link)
{
    char out[SERVER_TEXT], err[SERVER_TEXT], option[256];
    struct stat about;
    snprintf(option, sizeof option, "%s", folder_option("--token-file=", "tokens"));
    const mode_t mask = umask(077);
    const int status =
        server_process_run((const char *const[]){"--new-token=carol", option, NULL}, out, err);
    umask(mask);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(stat(folder_path("tokens"), &about), 0);
    ck_assert_uint_eq(about.st_mode & 07777, 0600);
    ck_assert_int_eq(symlink("tokens", folder_path("link")), 0);
    snprintf(option, sizeof option, "%s", folder_option("--token-file=", "link"));
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=dave", option, NULL}, out, err), 0);
    ck_assert_int_eq(lstat(folder_path("link"), &about), 0);
    ck_assert(S_ISLNK(about.st_mode));
    ck_assert_int_eq(unlink(folder_path("tokens")), 0);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=eve", option, NULL}, out, err), 1);
    expect_text(err, "link: No such file or directory");
    ck_assert_int_eq(lstat(folder_path("link"), &about), 0);
    ck_assert(S_ISLNK(about.st_mode));
}
END_TEST

/* With one more token, the server would reject the file. */
START_TEST(adds_no_token_to_a_full_file)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    const char *const option = folder_option("--token-file=", "tokens");
    FILE *const file = fopen(folder_path("tokens"), "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 1; i < TOKENS_MOST_IN_FILE; i++)
        fputs(alice_line, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=last", option, NULL}, out, err), 0);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=more", option, NULL}, out, err), 1);
    expect_text(err, "tokens has 10000 tokens, the maximum");
    server_process_start(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", option));
    connect_port(server.port);
    expect_known(alice_token);
}
END_TEST

START_TEST(creates_tokens_that_are_accepted)
{
    char out[SERVER_TEXT], err[SERVER_TEXT], token[64] = "";
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token", "carol", NULL}, out, err), 0);
    ck_assert_int_eq(strncmp(out, "carol:", 6), 0);
    ck_assert_uint_eq(strlen(out), 6 + 64 + 1);
    const char *shown = strrchr(err, ' ');
    ck_assert_ptr_nonnull(shown);
    ck_assert_int_eq(sscanf(shown, " %63s", token), 1);
    ck_assert_uint_eq(strlen(token), 43);
    ck_assert_ptr_null(strstr(out, token));
    start_with_tokens(out);
    expect_known(token);
    char again[SERVER_TEXT];
    server_process_run((const char *const[]){"--new-token", "carol", NULL}, again, err);
    ck_assert_str_ne(out, again);
}
END_TEST

/* The file that redirect() makes the stdin of the child. */
static const char *input;

static void redirect(void)
{
    if (!freopen(input, "r", stdin))
        _exit(126);
}

START_TEST(hashes_given_tokens)
{
    folder_write("token", alice_token);
    input = folder_path("token");
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run_with((const char *const[]){"--hash-token=alice", NULL},
                                             redirect, out, err),
                     0);
    ck_assert_str_eq(out, alice_line);
    folder_write("token", "too-short\n");
    ck_assert_int_eq(server_process_run_with((const char *const[]){"--hash-token=alice", NULL},
                                             redirect, out, err),
                     1);
    expect_text(err, "32 to 256 letters");
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(server_process_run_with((const char *const[]){"--hash-token=a:b", NULL},
                                             redirect, out, err),
                     1);
    expect_text(err, "\"a:b\" is not a valid token name");
}
END_TEST

/* ---- Suite ---- */

Suite *new_tokens_suite(void)
{
    Suite *suite = suite_create("new_tokens");
    TCase *const tcase = suite_add_case(suite, "new_tokens", 60, folder_make, teardown);
    CASE_ADD(tcase, adds_tokens_one_at_a_time, fails_if_a_token_cannot_be_printed,
             adds_tokens_to_the_file, creates_a_token_file_or_follows_a_link,
             adds_no_token_to_a_full_file, creates_tokens_that_are_accepted, hashes_given_tokens);
    return suite;
}
