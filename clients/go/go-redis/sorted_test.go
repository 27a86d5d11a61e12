package goredis

import (
	"fmt"
	"math"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

func z(member string, score float64) redis.Z { return redis.Z{Score: score, Member: member} }

func TestSortedSets(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expectInt, expectFloat := harness.Expect[int64], harness.Expect[float64]
		type list = []redis.Z
		expectInt(t, client.ZAdd(ctx, "z", z("a", 1), z("b", 2.5), z("c", math.Inf(1)), z("d", -1)), 4)
		expectInt(t, client.ZAddNX(ctx, "z", z("a", 9)), 0)
		expectInt(t, client.ZAddGT(ctx, "z", z("a", 0.5)), 0)
		expectInt(t, client.ZAddArgs(ctx, "z", redis.ZAddArgs{XX: true, Ch: true, Members: list{z("a", 1.5), z("e", 1)}}), 1)
		expectFloat(t, client.ZAddArgsIncr(ctx, "z", redis.ZAddArgs{Members: list{z("a", 0.25)}}), 1.75)
		harness.Nothing(t, client.ZAddArgsIncr(ctx, "z", redis.ZAddArgs{NX: true, Members: list{z("a", 1)}}))
		expectFloat(t, client.ZIncrBy(ctx, "z", 0.25, "a"), 2)
		expectFloat(t, client.ZScore(ctx, "z", "c"), math.Inf(1))
		harness.Nothing(t, client.ZScore(ctx, "z", "absent"))
		harness.Expect(t, client.ZMScore(ctx, "z", "d", "b"), []float64{-1, 2.5})
		expectInt(t, client.ZRank(ctx, "z", "a"), 1)
		expectInt(t, client.ZRevRank(ctx, "z", "a"), 2)
		harness.Nothing(t, client.ZRank(ctx, "z", "absent"))
		if hasNews72(t, client) {
			harness.Expect(t, client.ZRankWithScore(ctx, "z", "a"), redis.RankScore{Rank: 1, Score: 2})
		}
		expectInt(t, client.ZCard(ctx, "z"), 4)
		expectInt(t, client.ZCount(ctx, "z", "(-1", "+inf"), 3)
		harness.Expect(t, client.ZRange(ctx, "z", 0, -1), []string{"d", "a", "b", "c"})
		harness.Expect(t, client.ZRangeWithScores(ctx, "z", 0, 1), list{z("d", -1), z("a", 2)})
		harness.Expect(t, client.ZRevRangeWithScores(ctx, "z", 0, 0), list{z("c", math.Inf(1))})
		harness.Expect(t, client.ZRangeByScore(ctx, "z", &redis.ZRangeBy{Min: "-inf", Max: "(2.5", Offset: 1, Count: 5}), []string{"a"})
		harness.Expect(t, client.ZRevRangeByScore(ctx, "z", &redis.ZRangeBy{Min: "2", Max: "3"}), []string{"b", "a"})
		harness.Expect(t, client.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: "z", Start: 3, Stop: 0, ByScore: true, Rev: true}),
			list{z("b", 2.5), z("a", 2)})
		expectInt(t, client.ZRangeStore(ctx, "top", redis.ZRangeArgs{Key: "z", Start: 0, Stop: 1, Rev: true}), 2)
		harness.Expect(t, client.ZRange(ctx, "top", 0, -1), []string{"b", "c"})
		expectInt(t, client.ZAdd(ctx, "lex", z("a", 0), z("b", 0), z("c", 0)), 3)
		harness.Expect(t, client.ZRangeByLex(ctx, "lex", &redis.ZRangeBy{Min: "(a", Max: "+"}), []string{"b", "c"})
		expectInt(t, client.ZLexCount(ctx, "lex", "-", "[b"), 2)
		expectInt(t, client.ZRemRangeByLex(ctx, "lex", "[a", "(b"), 1)
		harness.Expect(t, client.ZPopMin(ctx, "z"), list{z("d", -1)})
		harness.Expect(t, client.ZPopMax(ctx, "z", 1), list{z("c", math.Inf(1))})
		harness.Expect(t, client.ZPopMin(ctx, "absent"), list{})
		key, popped, err := client.ZMPop(ctx, "max", 5, "absent", "top").Result()
		harness.Equal(t, "ZMPOP", []any{key, popped, err}, []any{"top", list{z("c", math.Inf(1)), z("b", 2.5)}, nil})
		expectInt(t, client.ZRem(ctx, "z", "a", "absent"), 1)
		expectInt(t, client.ZRemRangeByRank(ctx, "lex", 0, 0), 1)
		expectInt(t, client.ZRemRangeByScore(ctx, "lex", "0", "0"), 1)
		harness.Refused(t, client.ZAdd(ctx, "z", z("nan", math.NaN())), "ERR value is not a valid float")
	})
}

func TestSortedSetsTogether(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expectInt := harness.Expect[int64]
		type list = []redis.Z
		expectInt(t, client.ZAdd(ctx, "a", z("x", 1), z("y", 2)), 2)
		expectInt(t, client.ZAdd(ctx, "b", z("y", 3), z("z", 4)), 2)
		both := &redis.ZStore{Keys: []string{"a", "b"}, Weights: []float64{1, 10}}
		harness.Expect(t, client.ZUnionWithScores(ctx, *both), list{z("x", 1), z("y", 32), z("z", 40)})
		harness.Expect(t, client.ZInterWithScores(ctx, both), list{z("y", 32)})
		harness.Expect(t, client.ZInter(ctx, both), []string{"y"})
		expectInt(t, client.ZInterCard(ctx, 0, "a", "b"), 1)
		harness.Expect(t, client.ZDiffWithScores(ctx, "a", "b"), list{z("x", 1)})
		expectInt(t, client.ZDiffStore(ctx, "d", "a", "a"), 0)
		expectInt(t, client.ZUnionStore(ctx, "u", &redis.ZStore{Keys: []string{"a", "b"}, Aggregate: "MAX"}), 3)
		harness.Expect(t, client.ZRangeWithScores(ctx, "u", 0, -1), list{z("x", 1), z("y", 3), z("z", 4)})
		expectInt(t, client.ZInterStore(ctx, "i", &redis.ZStore{Keys: []string{"a", "b"}, Aggregate: "MIN"}), 1)
		expectSet(t, client.ZRandMember(ctx, "a", 5), "x", "y")
		harness.Expect(t, client.ZRandMemberWithScores(ctx, "i", -2), list{z("y", 2), z("y", 2)})

		// Scores as BullMQ has them, at the edge of what a double can tell apart.
		const huge = 9_007_199_254_740_991
		for n := range 300 {
			expectInt(t, client.ZAdd(ctx, "large", z(fmt.Sprint("m", n), float64(huge-n))), 1)
		}
		harness.Expect(t, client.ZRangeWithScores(ctx, "large", 0, 0), list{z("m299", huge-299)})
		expectInt(t, client.ZCount(ctx, "large", fmt.Sprint(huge-1), fmt.Sprint(huge)), 2)
		found := map[string]bool{}
		for iterator := client.ZScan(ctx, "large", 0, "m*", 20).Iterator(); iterator.Next(ctx); {
			found[iterator.Val()] = true
			iterator.Next(ctx)
		}
		harness.Equal(t, "members found", len(found), 300)
	})
}

func TestGeo(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		harness.Expect(t, client.GeoAdd(ctx, "sicily",
			&redis.GeoLocation{Name: "Palermo", Longitude: 13.361389, Latitude: 38.115556},
			&redis.GeoLocation{Name: "Catania", Longitude: 15.087269, Latitude: 37.502669}), 2)
		harness.Expect(t, client.GeoDist(ctx, "sicily", "Palermo", "Catania", "km"), 166.2742)
		harness.Expect(t, client.GeoHash(ctx, "sicily", "Palermo", "absent"), []string{"sqc8b49rny0", ""})
		positions := harness.Must(t, client.GeoPos(ctx, "sicily", "Catania", "absent"))
		harness.Equal(t, "positions", *positions[0], redis.GeoPos{Longitude: 15.08726745843887329, Latitude: 37.50266842333162032})
		harness.Equal(t, "the position of nothing", positions[1], (*redis.GeoPos)(nil))
		around := redis.GeoSearchQuery{Longitude: 15, Latitude: 37, Radius: 200, RadiusUnit: "km", Sort: "ASC"}
		harness.Expect(t, client.GeoSearch(ctx, "sicily", &around), []string{"Catania", "Palermo"})
		harness.Expect(t, client.GeoSearch(ctx, "sicily",
			&redis.GeoSearchQuery{Member: "Palermo", BoxWidth: 100, BoxHeight: 100, BoxUnit: "km"}), []string{"Palermo"})
		harness.Expect(t, client.GeoSearchLocation(ctx, "sicily",
			&redis.GeoSearchLocationQuery{GeoSearchQuery: around, WithDist: true, WithHash: true, WithCoord: true}),
			[]redis.GeoLocation{
				{Name: "Catania", Longitude: 15.08726745843887329, Latitude: 37.50266842333162032, Dist: 56.4413, GeoHash: 3479447370796909},
				{Name: "Palermo", Longitude: 13.36138933897018433, Latitude: 38.11555639549629859, Dist: 190.4424, GeoHash: 3479099956230698},
			})
		harness.Expect(t, client.GeoSearchStore(ctx, "sicily", "near", &redis.GeoSearchStoreQuery{GeoSearchQuery: around, StoreDist: true}), 2)
		harness.Expect(t, client.ZRange(ctx, "near", 0, -1), []string{"Catania", "Palermo"})
		harness.Expect(t, client.GeoRadiusByMember(ctx, "sicily", "Catania",
			&redis.GeoRadiusQuery{Radius: 170, Unit: "km", WithDist: true, Sort: "DESC", Count: 1}),
			[]redis.GeoLocation{{Name: "Palermo", Dist: 166.2742}})
	})
}
