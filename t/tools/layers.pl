#!/usr/bin/perl
# layers.pl FILE...: checks that includes point down, and that only some files include libraries.
#
#   base  <-  shm  <-  worker | healthd | acmed  <-  supervisor
#
# The three in the middle never include each other. The supervisor includes only the headers of
# their entry points, and those that its commands need. Prints every violation; exit code 1 on any.
use strict;
use warnings;

my %may = (
    base       => [qw(base)],
    shm        => [qw(base shm)],
    worker     => [qw(base shm worker)],
    healthd    => [qw(base shm healthd)],
    acmed      => [qw(base shm acmed)],
    supervisor => [qw(base shm supervisor)],
);
my %entry = map { ($_ => 1) } qw(worker/worker.h healthd/healthd.h healthd/restarter/restarter.h acmed/acmed.h
    acmed/cert/certbot.h acmed/cert/examine_cert.h acmed/cert/import_file.h acmed/cert/revoked.h acmed/cert/store_delete.h
    worker/http/route_spelling.h worker/login/verifier.h worker/tls/client_ca.h);

# Subdirectories that include from their own top-level directory only themselves and these.
my %room = (
    'base'            => [],
    'base/conf'       => ['base'],
    'shm'             => [],
    'shm/status'      => ['shm'],
    'worker/http'     => [],
    'worker/tls'      => ['worker/http'],
    'worker/log'      => ['worker/http'],
    'worker/status'   => ['worker/http'],
    # A client's connection, backends, and the exchanges between them. conn and upstream never see
    # each other; conn and proxy meet in core/transport.h only.
    'worker/core'     => ['worker/http'],
    'worker/conn'     => [qw(worker/core worker/http worker/tls)],
    'worker/upstream' => [qw(worker/core worker/http worker/tls)],
    'worker/login'    => [qw(worker/core worker/http)],
    'worker/proxy'    => [qw(worker/upstream worker/login worker/core worker/http worker/tls worker/log worker/status)],
);

# The files that may include a library. None of our headers may include any of them.
my @library = (
    [libconfig => qr{^libconfig},         qr{^base/conf/\w+\.c$}],
    [OpenSSL   => qr{^openssl/},          qr{^(?:worker/(?:tls/\w+|certs_stored)|acmed/(?:key|cert)/\w+|shm/stored_leaf|base/conf/backend_tls|healthd/check/backend_curl)\.c$}],
    [libcurl   => qr{^curl/},             qr{^(?:healthd/(?:check/(?:prober|backend_curl)|restarter/\w+)|acmed/net/transport\w*)\.c$}],
    [jansson   => qr{^jansson},           qr{^(?:\w+/(?:\w+/)?\w*json\w*|acmed/net/acme_request|
                                              healthd/check/http_check)\.c$}x],
    [nghttp2   => qr{^nghttp2/},          qr{^worker/conn/h2\w*\.c$}],
    [seccomp   => qr{^seccomp},           qr{^base/sandbox\w*\.c$}],
);

# Where a second protocol for clients would show: files that know none, and what they may not include.
my @neutral = (
    [qr{^worker/(?:proxy|upstream)/},                   qr{^worker/http/h1_write\.h$}],
    [qr{^worker/conn/(?:conn|stream|pace)\w*\.[ch]$}, qr{^worker/http/}],
);

my $bad = 0;

sub violation {
    print "$_[0]\n";
    $bad = 1;
}

# The directory of a file.
sub room_of { return $_[0] =~ m{^(.*)/} ? $1 : '' }

for my $file (@ARGV) {
    my ($folder) = $file =~ m{^(\w+)/} or die "$file: not below the root\n";
    next unless $may{$folder};
    open my $in, '<', $file or die "$file: $!\n";
    while (<$in>) {
        if (/^\s*#\s*include\s*"([^"]+)"/) {
            my $what = $1;
            my ($to) = $what =~ m{^(\w+)/};
            if (!$to || !$may{$to} || !-e $what) {
                violation("$file:$.: \"$what\" is not written from the root");
            } elsif (!grep({ $_ eq $to } @{ $may{$folder} })
                && !($folder eq 'supervisor' && $entry{$what})) {
                violation("$file:$.: $folder may not include $what");
            } elsif ($to eq $folder && $room{ room_of($file) }
                && !grep({ $_ eq room_of($what) } room_of($file), @{ $room{ room_of($file) } })) {
                violation("$file:$.: room " . room_of($file) . " may not include $what");
            } elsif (grep { $file =~ $_->[0] && $what =~ $_->[1] } @neutral) {
                violation("$file:$.: $what is of one protocol of clients");
            }
        } elsif (/^\s*#\s*include\s*<([^>]+)>/) {
            my $what = $1;
            for my $l (@library) {
                my ($name, $header, $where) = @$l;
                next unless $what =~ $header;
                violation("$file:$.: $name does not belong here") unless $file =~ $where;
            }
        }
    }
}
print "includes point down in ", scalar @ARGV, " files\n" unless $bad;
exit $bad;
