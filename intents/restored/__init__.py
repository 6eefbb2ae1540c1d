"""What a restored copy cannot know: transactions on chain, listed, counted, and not made again by mistake."""
