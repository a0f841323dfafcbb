use model::*;
use std::time::Instant;
fn main() {
    let config = NetworkConfig::REFERENCE;
    let weights = Weights::initial(config, 1);
    for isa in Isa::all() {
        let rounds = if isa.name() == "portable" { 100_000 } else { 2_000_000 };
        let mut peak: f64 = 0.0;
        for _ in 0..5 {
            let t = Instant::now();
            std::hint::black_box(Peak { rounds }.run(isa));
            peak = peak.max(Peak { rounds }.operations(isa) / t.elapsed().as_secs_f64() / 1e9);
        }
        let mut network = FusedNetwork::new(&weights, isa);
        let mut ws = network.workspace();
        let mut grads: [Vec<f32>; 8] = std::array::from_fn(|_| vec![]);
        for (g, (_, _, v)) in grads.iter_mut().zip(weights.iter()) { g.resize(v.len(), 0.0); }
        let mut params: [Vec<f32>; 8] = std::array::from_fn(|_| vec![]);
        for (g, (_, _, v)) in params.iter_mut().zip(weights.iter()) { g.extend_from_slice(v); }
        let sizes: Vec<usize> = params.iter().map(Vec::len).collect();
        let mut adam = Adam::new(1e-3, &sizes, isa);
        let mut masks = TileMasks::none(&config);
        let mut tiles = [Tile::new(24), Tile::new(24)];
        for tile in &mut tiles { for i in 0..16 { let w: Vec<f32> = (0..24).map(|t| ((t*7+i*3)%11) as f32/11.0).collect(); tile.push(&w, 0.5); } }
        let steps = if isa.name() == "portable" { 20 } else { 200 };
        let mut times = vec![];
        let mut parts = [0.0f64; 4];
        for s in 0..steps {
            let t0 = Instant::now();
            for g in &mut grads { g.fill(0.0); }
            for (i, tile) in tiles.iter().enumerate() {
                let a = Instant::now();
                masks.draw(0.2, s * 2 + i as u64);
                parts[0] += a.elapsed().as_secs_f64();
                let a = Instant::now();
                network.add_gradients(tile, &masks, 32, &mut ws, &mut grads);
                parts[1] += a.elapsed().as_secs_f64();
            }
            let a = Instant::now();
            adam.step(&mut params, &grads);
            parts[2] += a.elapsed().as_secs_f64();
            let a = Instant::now();
            network.set(&params);
            parts[3] += a.elapsed().as_secs_f64();
            times.push(t0.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let med = times[times.len()/2];
        let flop = 32.0 * 1.4496e6 * 3.0;
        let floor = flop / peak / 1e9;
        // forward only
        let mut fw = vec![];
        for _ in 0..steps { let a = Instant::now(); std::hint::black_box(network.predictions(&tiles[0], &mut ws)); fw.push(a.elapsed().as_secs_f64()); }
        fw.sort_by(f64::total_cmp);
        println!("{:9} peak {peak:.1} GF/s step {:.3} ms = {:.3} x floor; epoch {:.4} s; fwd tile {:.1} us ({:.2} x); parts us mask {:.1} grad {:.1} adam {:.1} pack {:.1}",
            isa.name(), med*1e3, med/floor, med*4008.0/32.0, fw[steps as usize/2]*1e6, fw[steps as usize/2]/(16.0*1.4496e6/peak/1e9),
            parts[0]/steps as f64*1e6, parts[1]/steps as f64*1e6, parts[2]/steps as f64*1e6, parts[3]/steps as f64*1e6);
    }
}
