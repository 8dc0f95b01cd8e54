#!/usr/bin/perl
# layers.pl FILE...: includes point down, and each library stays in its place.
#
#   base  <-  shm  <-  worker | healthd | acmed  <-  supervisor
#
# The three in the middle never include each other. The supervisor takes from them
# only the headers that name their bodies, and those of what its commands do. Prints every violation; exit 1 on any.
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
    acmed/cert/certbot.h acmed/cert/examine_cert.h acmed/cert/import_file.h acmed/cert/store_delete.h
    worker/http/route_spelling.h);

# Rooms that include nothing of their own folder but themselves and these ("" is the folder's root).
my %room = (
    'base'          => [],
    'base/conf'     => ['base'],
    'shm'           => [],
    'shm/status'    => ['shm'],
    'worker/http'   => [],
    'worker/tls'    => ['worker/http'],
    'worker/log'    => ['worker/http'],
    'worker/status' => ['worker/http'],
);

# Which files may include a library. No header of ours may include any of them.
my @library = (
    [libconfig => qr{^libconfig},         qr{^base/conf/\w+\.c$}],
    [OpenSSL   => qr{^openssl/},          qr{^(?:worker/(?:tls/\w+|certs_stored)|acmed/(?:key|cert)/\w+)\.c$}],
    [libcurl   => qr{^curl/},             qr{^(?:healthd/(?:check/prober|restarter/\w+)|acmed/net/transport\w*)\.c$}],
    [jansson   => qr{^jansson},           qr{^(?:\w+/(?:\w+/)?\w*json\w*|healthd/check/http_check)\.c$}],
    [nghttp2   => qr{^nghttp2/},          qr{^worker/conn/h2\w*\.c$}],
    [seccomp   => qr{^seccomp},           qr{^base/sandbox\w*\.c$}],
);

my $bad = 0;

sub violation {
    print "$_[0]\n";
    $bad = 1;
}

# A folder, or a folder in it.
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
