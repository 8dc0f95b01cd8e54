# Hostile.pm: reads t/hostile/cases.txt; the format is described at its top.
package Hostile;
use strict;
use warnings;

my %repeats = map { $_ => 1 } qw(seen unseen got ungot);
my %bytes   = map { $_ => 1 } qw(client backend body seen unseen got ungot);
my %escape  = (r => "\r", n => "\n", t => "\t", '\\' => '\\');

sub unescape
{
    my ($text) = @_;
    my $plain = sub { $_[0] =~ s/\\(?:x([0-9a-f]{2})|([rnt\\]))/defined $1 ? chr hex $1 : $escape{$2}/ger };
    my $out = '';
    while ($text =~ /\G(?:\\\{(\d+)\*(.*?)\}|((?:[^\\]|\\[^{])+))/gcs) {
        $out .= defined $1 ? $plain->($2) x $1 : $plain->($3);
    }
    die "malformed: $text" if (pos($text) // 0) < length $text;
    return $out;
}

# All cases in order: hashes by key, with id, number and name; keys that may repeat are lists.
sub cases
{
    my $file = 't/hostile/cases.txt';
    my @cases;
    open my $in, '<', $file or die "$file: $!";
    while (my $line = <$in>) {
        chomp $line;
        next if $line eq '' || $line =~ /^#/;
        my ($key, $value) = $line =~ /^([a-z-]+):(?: (.*))?$/ or die "$file:$.: $line";
        $value //= '';
        if ($key eq 'case') {
            my ($id, $number, $name) = $value =~ /^((\d+)[a-z]+) (.*)/ or die "$file:$.: $line";
            push @cases, { id => $id, number => $number, name => $name, map { $_ => [] } keys %repeats };
            next;
        }
        if ($key eq 'seen' && $value eq 'nothing') {
            $cases[-1]{nothing} = 1;
            next;
        }
        $value = unescape($value) if $bytes{$key};
        if ($repeats{$key}) {
            push @{ $cases[-1]{$key} }, $value;
        } else {
            $cases[-1]{$key} = $value;
        }
    }
    return @cases;
}

1;
