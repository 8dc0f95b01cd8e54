#!/usr/bin/perl
# seed.pl FOLDER: puts seeds for the HTTP fuzzers, made from t/hostile/cases.txt, and for that of
# the configuration, those of t/conf, into
# FOLDER/NAME.corpus. Run from the root. Equal seeds are kept once, large ones left to the fuzzer.
use strict;
use warnings;
use Digest::SHA 'sha1_hex';
use lib 't/lib';
use Hostile;

use constant SEED_MAX => 2048;    # bytes; larger ones slow the fuzzer down
my %made;
my $folder = shift // die "usage: t/fuzz/seed.pl FOLDER\n";

sub seed
{
    my ($target, $bytes) = @_;
    return if length $bytes > SEED_MAX;
    my $dir = "$folder/$target.corpus";
    mkdir $dir;
    my $file = "$dir/" . substr sha1_hex($bytes), 0, 12;
    return if $made{$file}++;
    open my $out, '>', $file or die "$file: $!";
    print $out $bytes;
    close $out or die "$file: $!";
}

for my $c (Hostile::cases()) {
    my $tls = $c->{on} && $c->{on} eq 'tls' ? 1 : 0;
    my $reply = $c->{backend} // "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    seed('http1_request', chr($tls | $_) . "\x05" . $c->{client}) for 0, 4;
    seed('http1_response', "\x00\x05" . $reply) if defined $c->{backend};
    seed('heads', chr($tls | 0x30) . ($c->{client} =~ /^(.*?\r\n\r\n)/s ? $1 : next) . $reply);
    seed('chunked', "\x03$1") if $c->{client} =~ /^Transfer-Encoding: chunked\r\n\r\n(.+)/ms;
    for my $flags (0, 3) { seed("uri", chr($flags) . $1) if $c->{client} =~ m{^[A-Z]+ (/[^ ?]*)} }
}
seed('uri', "\x03$_")
  for '/a%2foemanager', '/%2foemanager', '/;x%2Foemanager', '/..%2f', '/a%2f..', '/a%2f..%3b', '/a%2f.;x', '/{}%2f[]',
  "/oemanager\xc3\xa9", '/"oemanager"', '/_oeping%2f', '/a%2f_oeping', '/pas%2fapsv';
seed('heads', "\x31GET / HTTP/1.1\r\nHost: t.test\r\n\r\nHTTP/1.1 302 Found\r\n$_\r\n\r\n") for
  'Location: http://b:8810/web/x', 'Location: http://t.test/web', 'Location: /web?x', 'Location: //t.test/web',
  'Content-Location: /web/y', 'Set-Cookie: a=b; Path=/web; Domain=localhost; HttpOnly',
  'Set-Cookie: a=b;path="/web/x" ; domain=.b', 'Strict-Transport-Security: max-age=0',
  'Location: https://[::1]:8810/web#f';
for my $file (glob 't/conf/good/*.conf t/conf/bad/*.conf') {
    open my $in, '<', $file or die "$file: $!";
    seed('conf', do { local $/; <$in> });
}
printf "%d seeds\n", scalar keys %made;
